//! Builds llama-server and starts it with the command line of the host's systemd unit.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Scratch, json as parsed, nix, repository, skip, stderr, tree, user_home};

const QUESTION: &str = "What is the capital of France? Answer with the name of the city.";
const KEY: &str = "a key for this test";
/// A model that answers in words, which `setup` downloads on request.
const REAL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GENERATED: &str = "smoke-29m-q4_0-v2.gguf";

/// Returns the Nix expression of a host that serves with our module and these ones.
fn host(tree: &Path, modules: &str) -> String {
    let repository = repository();
    let (testbed, overlay, ours) = (
        repository.join("testbed/nixpkgs"),
        repository.join("overlays/llama-cpp"),
        repository.join("modules/nixos"),
    );
    format!(
        "let lib = import ({testbed:?} + \"/lib\"); llama-cpp = {{ outPath = {tree:?}; }}; self = {{ inputs = \
         {{ inherit llama-cpp; }}; overlays.llama-cpp = import {overlay:?} {{ inherit llama-cpp; \
         }}; }}; ours = import {ours:?} {{ inherit self lib; }}; in (import ({testbed:?} + \
         \"/nixos/eval-config.nix\") {{ inherit lib; system = null; modules = [ ours.default \
         {modules} {{ nixpkgs.hostPlatform = \"x86_64-linux\"; \
         nixpkgs.config.testbedTargets.llama-cpp = [ \"llama-server\" ]; networking.hostName = \
         \"example\"; system.stateVersion = lib.mkForce \"25.05\"; programs.llama-cpp = {{ enable \
         = true; microarch = lib.mkForce \"x86-64-v3\"; threads = 1; }}; \
         services.llama-cpp.enable = true; }} ]; }})"
    )
}

/// A module that serves this model with Nixpkgs' new (`settings`) or old (`extraFlags`) options of
/// `services.llama-cpp`.
fn one_model(has_settings: bool, model: &Path, port: u16, key: &Path) -> String {
    let testbed = repository().join("testbed/nixpkgs/nixos/modules");
    if has_settings {
        format!(
            "{{ services.llama-cpp.settings = {{ model = {model:?}; port = {port}; api-key-file = \
             {key:?}; ctx-size = 1024; }}; }}"
        )
    } else {
        format!(
            "{{ disabledModules = [ \"llama-cpp.nix\" ]; imports = [ ({testbed:?} + \
             \"/llama-cpp-flags.nix\") ]; services.llama-cpp = {{ model = {model:?}; port = {port}; \
             extraFlags = [ \"--api-key-file\" {key:?} \"-c\" \"1024\" ]; }}; }}"
        )
    }
}

/// hosts/nitrogen with the CPU instead of its GPUs, and with this model.
fn nitrogen(model: &Path, port: u16) -> String {
    let file = repository().join("hosts/nitrogen");
    format!(
        "{file:?} {{ nixpkgs.overlays = [ (_: _: {{ fetchurl = _: {model:?}; }}) ]; \
         programs.llama-cpp = {{ backend = lib.mkForce \"cpu\"; cudaCapabilities = lib.mkForce [ ]; \
         rocmTargets = lib.mkForce [ ]; }}; services.llama-cpp.settings.port = lib.mkForce {port}; }}"
    )
}

/// Builds the unit's command, and returns its command line and environment variables.
fn unit(host: &str) -> Value {
    let options = ["--impure", "--option", "sandbox", "false", "--option", "substituters", ""];
    let unit = format!("let host = {host}; unit = host.config.systemd.services.llama-cpp;");
    let built = nix(["build", "--no-link"])
        .args(options)
        .args([
            "--expr",
            &format!("{unit} in host.pkgs.writeText \"command\" unit.serviceConfig.ExecStart"),
        ])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    let wanted = format!(
        "{unit} in {{ exec = unit.serviceConfig.ExecStart; environment = unit.environment; }}"
    );
    let unit = nix(["eval", "--json"]).args(options).args(["--expr", &wanted]).output().unwrap();
    assert!(unit.status.success(), "{}", stderr(&unit));
    parsed(&unit)
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A server that is stopped when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the unit's command with its variables only, and so without a home like a dynamic user.
    /// The unit sets one thread: while tests use all cores, OpenMP's threads wait for each other for
    /// minutes.
    fn start(unit: &Value, port: u16, folder: &Path) -> Self {
        let exec = unit["exec"].as_str().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {exec}")]).env_clear().current_dir(folder);
        for (name, value) in unit["environment"].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        Self { child: command.process_group(0).spawn().unwrap(), port }
    }

    fn ask(&self, request: &str, key: Option<&str>, body: &str) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{key}Content-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        // A router sends its answers in chunks, each after a line with its length.
        let is_json = |line: &&str| line.starts_with('{');
        let body = if head.contains("chunked") {
            body.lines().find(is_json).unwrap_or(body)
        } else {
            body
        };
        let status = head.split(' ').nth(1).ok_or(ErrorKind::InvalidData)?.parse().unwrap();
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Waits until the model is loaded.
    fn wait(&mut self) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            if let Ok((200, health)) = self.ask("GET /health", None, "") {
                assert_eq!(health["status"], "ok");
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server never became healthy");
    }

    /// Stops the server as systemd does, and checks that no process and no socket is left.
    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "still running after SIGTERM");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{status}");
        let group = Command::new("kill").args(["-0", "--", &format!("-{pid}")]).output().unwrap();
        assert!(!group.status.success(), "a process of its group is left");
        TcpListener::bind(("127.0.0.1", self.port)).unwrap();
    }
}

fn model() -> Option<PathBuf> {
    let models = user_home().join("models");
    let found = [REAL, GENERATED].map(|name| models.join(name)).into_iter().find(|it| it.is_file());
    if found.is_none() {
        skip("there is no model; `cargo xtask setup --model` downloads one");
    }
    found
}

/// Compiles llama-server, which takes minutes the first time on a machine.
#[test]
fn the_service_command_starts_a_working_server() {
    if !fs::read_to_string("/proc/cpuinfo").unwrap().contains(" avx2 ") {
        return skip("this CPU does not run x86-64-v3");
    }
    let Some(model) = model() else { return };
    let is_real = model.ends_with(REAL);
    if !is_real {
        skip("the answers of SmolLM2; `cargo xtask setup --model` downloads it");
    }
    let tree = tree("new");
    let folder = Scratch::new();
    folder.write("key", KEY);
    for has_settings in [true, false] {
        let port = free_port();
        let key = folder.path().join("key");
        let unit = unit(&host(tree.path(), &one_model(has_settings, &model, port, &key)));
        assert_eq!(unit["environment"]["LLAMA_ARG_THREADS"], "1", "{unit}");

        let mut server = Server::start(&unit, port, folder.path());
        server.wait();
        let (status, models) = server.ask("GET /v1/models", Some(KEY), "").unwrap();
        assert_eq!(status, 200, "{models}");
        assert_eq!(models["data"].as_array().map(Vec::len), Some(1), "{models}");
        let question = json!({
            "messages": [{ "role": "user", "content": QUESTION }],
            "max_tokens": 16, "temperature": 0, "seed": 1,
        });
        let question = question.to_string();
        let chat = "POST /v1/chat/completions";
        for key in [None, Some("another key")] {
            assert_eq!(server.ask(chat, key, &question).unwrap().0, 401);
        }
        let (status, answer) = server.ask(chat, Some(KEY), &question).unwrap();
        assert_eq!(status, 200, "{answer}");
        assert!(answer["usage"]["completion_tokens"].as_u64() > Some(0), "{answer}");
        if is_real {
            let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
            assert!(text.contains("Paris"), "{answer}");
        }
        server.stop();
    }
}

/// The fleet's server, as a router: its presets, its key, and a model that is loaded at start-up.
#[test]
fn nitrogens_service_command_serves_its_presets() {
    if !fs::read_to_string("/proc/cpuinfo").unwrap().contains(" avx2 ") {
        return skip("this CPU does not run x86-64-v3");
    }
    let Some(model) = model() else { return };
    let tree = tree("new");
    let folder = Scratch::new();
    folder.write("key", KEY);
    let port = free_port();
    let key = folder.path().join("key");
    let mut unit = unit(&host(tree.path(), &nitrogen(&model, port)));

    // Remove the presets' devices: this machine has no such GPU.
    let exec = unit["exec"].as_str().unwrap().to_owned();
    let presets = exec.split(' ').find(|word| word.ends_with("-models.ini")).unwrap();
    let text = fs::read_to_string(presets).unwrap();
    assert_eq!(text.matches("device=CUDA0\n").count(), 1, "{text}");
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("device"))
        .map(|line| format!("{line}\n"))
        .collect();
    folder.write("models.ini", &without);
    let exec = exec
        .replace(presets, folder.path().join("models.ini").to_str().unwrap())
        .replace("/run/credentials/llama-cpp.service/api-key", key.to_str().unwrap());
    unit["exec"] = exec.into();

    let mut server = Server::start(&unit, port, folder.path());
    server.wait();
    let (status, models) = server.ask("GET /v1/models", Some(KEY), "").unwrap();
    assert_eq!(status, 200, "{models}");
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    for preset in ["gpt-oss-20b", "qwen3-0.6b", "qwen3-30b-a3b"] {
        assert!(ids.contains(&preset), "{models}");
    }
    let question = json!({
        "model": "qwen3-0.6b", "messages": [{ "role": "user", "content": QUESTION }],
        "max_tokens": 4, "temperature": 0, "seed": 1,
    });
    let question = question.to_string();
    let chat = "POST /v1/chat/completions";
    assert_eq!(server.ask(chat, None, &question).unwrap().0, 401);
    let (status, answer) = server.ask(chat, Some(KEY), &question).unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer["usage"]["completion_tokens"].as_u64() > Some(0), "{answer}");
    server.stop();
}
