//! Shared by all tests: scratch folders, the binary under test, and small fleets whose hosts are
//! plain attribute sets, so that real Nix evaluates them in milliseconds.

pub mod histories;
pub mod terminal;
pub mod upstream;
pub mod world;

pub mod builders;
pub mod sshd;

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

/// A folder that is removed when dropped, with its own xtask folder beside it, so that tests do not
/// share locks and results.
pub struct Scratch {
    root: TempDir,
    path: PathBuf,
}

/// Prefix of the names of scratch folders.
const PREFIX: &str = "xtask-test-";

impl Scratch {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        let path = fs::canonicalize(root.path()).unwrap().join("here");
        fs::create_dir(&path).unwrap();
        create_home(&path.with_file_name("home"));
        Self { root, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a name that no other scratch folder has, in this run or another.
    pub fn name(&self) -> &str {
        self.root.path().file_name().unwrap().to_str().unwrap()
    }

    /// Returns the xtask folder of commands that run here.
    pub fn home(&self) -> PathBuf {
        self.path.with_file_name("home")
    }

    pub fn write(&self, name: &str, text: &str) {
        let file = self.path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub fn write_program(&self, name: &str, text: &str) {
        self.write(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path.join(name), mode).unwrap();
    }
}

/// Returns the root of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the folder that replaces the user's `~/.cache` in every test. It has Nix's caches, and the
/// xtask folder of commands outside scratch folders, whose builds and models stay between runs.
fn cache() -> &'static Path {
    static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let home = cache.join("llamafleet");
        fs::create_dir_all(home.join("models")).unwrap();
        for (name, to) in user_setup() {
            let link = home.join(name);
            if fs::read_link(&link).ok().as_deref() != Some(&to) {
                let _ = fs::remove_file(&link);
                symlink(to, link).unwrap();
            }
        }
        cache
    });
    &CACHE
}

/// Returns the folders made by `setup` that tests read. Its Nix is on PATH instead, because the
/// wrappers contain the path of their folder.
fn user_setup() -> [(&'static str, PathBuf); 2] {
    ["llama.cpp", "tools"].map(|name| (name, user_home().join(name)))
}

/// Makes an xtask folder like the user's after `setup`.
fn create_home(home: &Path) {
    fs::create_dir(home).unwrap();
    let models = ("models", cache().join("llamafleet/models"));
    for (name, to) in user_setup().into_iter().chain([models]) {
        symlink(to, home.join(name)).unwrap();
    }
}

/// Returns the xtask folder of commands that run in `dir`.
pub fn home_of(dir: &Path) -> PathBuf {
    let is_scratch = |dir: &&Path| {
        let name = dir.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PREFIX))
    };
    match dir.ancestors().find(is_scratch) {
        Some(root) => root.join("home"),
        None => cache().join("llamafleet"),
    }
}

/// Finds the lock file with the testbed's inputs that xtask made for this flake.
pub fn testbed_lock(flake: &Scratch) -> PathBuf {
    let name = flake.name();
    let locks = fs::read_dir(flake.home().join("locks")).unwrap();
    let mut files = locks.filter_map(|entry| Some(entry.ok()?.path()));
    let is_for_flake = |file: &PathBuf| {
        let file = file.file_name().unwrap().to_str().unwrap();
        file.contains(name) && file.ends_with("-2026-09.lock")
    };
    files.find(is_for_flake).unwrap_or_else(|| panic!("no lock file for {name}"))
}

/// Returns a Nix command that uses the testbed's inputs; xtask must have made the lock file.
pub fn nix_in_testbed<const N: usize>(flake: &Scratch, args: [&str; N]) -> Command {
    let mut command = nix(args);
    command
        .args(["--no-write-lock-file", "--option", "sandbox", "false"])
        .args(["--option", "substituters", "", "--reference-lock-file"])
        .arg(testbed_lock(flake));
    command
}

/// Unpacks a revision of the testbed's real llama.cpp into a folder that a test may change.
pub fn tree(revision: &str) -> Scratch {
    let tag = match revision {
        "old" => "2025-08",
        "new" => "v0.5.0",
        tag => tag,
    };
    let scratch = Scratch::new();
    let repository = user_home().join("llama.cpp");
    let archive = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["archive", "--output"])
        .arg(scratch.home().join("tree.tar"))
        .arg(tag)
        .status();
    assert!(archive.unwrap().success());
    let unpacked = Command::new("tar")
        .arg("xf")
        .arg(scratch.home().join("tree.tar"))
        .arg("-C")
        .arg(scratch.path())
        .status();
    assert!(unpacked.unwrap().success());
    scratch
}

/// Returns the model that `bench` generates, after a bench whose llama-bench measures nothing.
pub fn smoke_model() -> PathBuf {
    let model = cache().join("llamafleet/models/smoke-29m-q4_0-v2.gguf");
    if !model.is_file() {
        let script = "mkdir -p $out/bin; echo '#!/bin/sh' >$out/bin/llama-bench; \
                      chmod +x $out/bin/llama-bench";
        let fleet =
            fleet(&format!("a = host {{ variant = \"cpu-none\"; script = ''{script}''; }};"));
        let output = run(fleet.path(), &["bench", "a", "--local"]);
        assert!(model.is_file(), "{}", stderr(&output));
    }
    model
}

/// Prints why a test is skipped or checks less.
pub fn skip(why: &str) {
    // Not `eprintln!`: the test runner shows its output only for failed tests.
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

/// Sends SIGTERM to a process; returns whether it existed.
pub fn kill(pid: &str) -> bool {
    Command::new("kill").arg(pid).status().unwrap().success()
}

/// Returns a unique name, so that nothing is in the store already.
pub fn nonce() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}-{}", now.as_nanos(), std::process::id())
}

/// The binary under test.
pub const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// Returns a command for the binary under test, in this folder.
pub fn xtask(dir: &Path) -> Command {
    contained(Command::new(XTASK), dir)
}

/// Prepares a command that may start the binary under test in this folder: with the xtask folder
/// [`home_of`] `dir` and the tests' Nix.
pub fn contained(mut command: Command, dir: &Path) -> Command {
    command.current_dir(dir).env_remove("CI").env_remove("GITHUB_ACTIONS").env("NO_COLOR", "1");
    command.env("LLAMAFLEET_HOME", home_of(dir)).env("XDG_CACHE_HOME", cache());
    command.env("PATH", path_with_nix());
    command
}

/// Returns PATH with Nix's folder.
pub fn path_with_nix() -> OsString {
    let path = std::env::var_os("PATH").unwrap();
    let folder = nix_program().parent().unwrap().to_owned();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if !folders.contains(&folder) {
        folders.insert(0, folder);
    }
    std::env::join_paths(folders).unwrap()
}

pub fn run(dir: &Path, args: &[&str]) -> Output {
    xtask(dir).args(args).output().unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Parses the JSON document on standard output.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("not one JSON document: {error}\n{}\n{}", stdout(output), stderr(output))
    })
}

/// Finds a variant in `build-all`'s report by its name.
pub fn variant<'a>(report: &'a Value, name: &str) -> &'a Value {
    let variants = report["variants"].as_array().unwrap();
    variants.iter().find(|variant| variant["variant"] == name).unwrap()
}

/// Returns the Nix program that the binary under test finds.
pub fn nix_program() -> PathBuf {
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("nix")).find(|f| f.is_file())
    });
    on_path.unwrap_or_else(|| user_home().join("nix/bin/nix"))
}

/// Returns a Nix command with these arguments and flakes enabled.
pub fn nix<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(nix_program());
    command.args(["--extra-experimental-features", "nix-command flakes"]).args(args);
    command.env("XDG_CACHE_HOME", cache());
    command
}

/// Returns the user's xtask folder, which `setup` filled. Tests only read it.
pub fn user_home() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    set("LLAMAFLEET_HOME")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("llamafleet")))
        .unwrap_or_else(|| set("HOME").unwrap().join(".cache/llamafleet"))
}

/// Waits for a child and returns its output and peak memory in kB.
pub fn output_and_peak(child: std::process::Child) -> (Output, u64) {
    let status = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0;
    // Poll, because /proc has no memory figures of a process that has ended.
    while !waiting.is_finished() {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    (waiting.join().unwrap(), peak)
}

pub fn valid_in_store(path: &str) -> bool {
    nix(["path-info", path]).output().unwrap().status.success()
}

/// Makes a flake with these hosts, Nix code that may call `host { variant = …; … }` with the fields of
/// `package` below.
pub fn fleet(hosts: &str) -> Scratch {
    fleet_with(hosts, "")
}

/// Makes a flake with hosts and further outputs, which may call `package`.
pub fn fleet_with(hosts: &str, outputs: &str) -> Scratch {
    let scratch = Scratch::new();
    let flake = FLAKE.replace("@hosts@", hosts).replace("@outputs@", outputs);
    scratch.write("flake.nix", &flake.replace("@nonce@", &nonce()).replace("@table@", TABLE));
    scratch
}

/// Copies this repository with other hosts: pairs of a name and a module.
pub fn copy_of_repository(hosts: &[(&str, &str)]) -> Scratch {
    let copy = Scratch::new();
    let names = [
        "flake.nix",
        "flake.lock",
        "home",
        "modules",
        "nixos",
        "overlays",
        "pin.json",
        "pkgs",
        "testbed",
        "tests",
    ];
    let mut copied = Command::new("cp");
    copied.arg("-r").args(names).arg(copy.path()).current_dir(repository());
    assert!(copied.status().unwrap().success());
    let mut table = String::from("{\n");
    for (name, body) in hosts {
        table += &format!(
            "  {name} = {{ system = \"x86_64-linux\"; target = \"{name}\"; hardware = null; }};\n"
        );
        copy.write(&format!("hosts/{name}/default.nix"), body);
    }
    copy.write("hosts/default.nix", &(table + "}\n"));
    world::git(copy.path(), &["init", "--quiet"]);
    world::git(copy.path(), &["add", "--all"]);
    copy
}

const TABLE: &str = include_str!("../../../../overlays/llama-cpp/microarch.json");

/// `script` runs in /bin/sh; `needs` is built first. Hosts have exactly the attributes that xtask
/// reads.
const FLAKE: &str = r#"{
  outputs = _: let
    package = { name, script ? "echo > $out", needs ? null, system ? "x86_64-linux" }: derivation {
      inherit name system needs;
      nonce = "@nonce@";
      builder = "/bin/sh";
      args = [ "-c" script ];
      PATH = "/usr/bin:/bin";
    };
    # What the overlay passes for this microarchitecture, by the one table.
    table = builtins.fromJSON ''@table@'';
    cpuFlags = microarch:
      if microarch == "dispatch" then [ "-DGGML_BACKEND_DL=ON" "-DGGML_CPU_ALL_VARIANTS=ON" ]
      else map (feature: "-D${table.x86_64.features.${feature}.cmake}=${
        if builtins.elem feature (table.x86_64.microarchs.${microarch}.features or [ ]) then "ON" else "OFF"
      }") (builtins.attrNames table.x86_64.features);
    host = { variant ? "cpu-test", microarch ? "haswell", backends ? [ "cpu" ], flags ? [ ], ... }@args: {
      options.programs.llama-cpp.manifest = true;
      config.programs.llama-cpp = {
        enable = true;
        manifest = {
          inherit variant microarch backends;
          system = args.system or "x86_64-linux";
          cmakeFlags = cpuFlags microarch ++ flags;
          rev = null;
          build = null;
        } // (args.manifest or { });
        package = package ({ name = "llama-cpp-${variant}"; } // builtins.intersectAttrs { script = 0; needs = 0; system = 0; } args);
      };
    };
  in {
    fleet = { };
@outputs@
    nixosConfigurations = {
@hosts@
    };
  };
}
"#;
