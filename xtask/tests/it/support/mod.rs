//! What the tests share: a scratch folder, the real binary, and a small fleet whose
//! hosts are plain attribute sets, so that real Nix reads it in milliseconds.

pub mod histories;
pub mod upstream;
pub mod world;

pub mod builders;
pub mod sshd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A folder that is removed when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("xtask-test-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(fs::canonicalize(dir).unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

impl Scratch {
    /// Gives the runs in this folder an xtask folder of their own, beside it: other
    /// tests' locks and records are not theirs.
    pub fn with_home(self) -> Self {
        let own = own_home(&self.0);
        fs::create_dir_all(&own).unwrap();
        for name in ["nix", "models"] {
            fs::create_dir_all(home().join("models")).unwrap();
            std::os::unix::fs::symlink(home().join(name), own.join(name)).unwrap();
        }
        self
    }
}

/// Where [`Scratch::with_home`] puts it.
pub fn own_home(dir: &Path) -> PathBuf {
    dir.with_extension("home")
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir_all(own_home(&self.0));
    }
}

/// Ends a process that a killed run left behind.
pub fn kill(pid: &str) -> bool {
    Command::new("kill").arg(pid).status().unwrap().success()
}

/// A name that no earlier run used, so that nothing is in the store already.
pub fn nonce() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}-{}", now.as_nanos(), std::process::id())
}

/// The binary under test, in this folder.
pub fn xtask(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(dir).env_remove("CI").env_remove("GITHUB_ACTIONS").env("NO_COLOR", "1");
    if own_home(dir).is_dir() {
        command.env("LLAMAFLEET_HOME", own_home(dir));
    }
    command
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

/// The one document on standard output.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("not one JSON document: {error}\n{}\n{}", stdout(output), stderr(output))
    })
}

/// The Nix that the binary under test finds.
pub fn nix() -> PathBuf {
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("nix")).find(|f| f.is_file())
    });
    on_path.unwrap_or_else(|| home().join("nix/bin/nix"))
}

/// The folder that `setup` filled.
pub fn home() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    set("LLAMAFLEET_HOME")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("llamafleet")))
        .unwrap_or_else(|| set("HOME").unwrap().join(".cache/llamafleet"))
}

pub fn valid_in_store(path: &str) -> bool {
    let answer = Command::new(nix())
        .args(["--extra-experimental-features", "nix-command", "path-info", path])
        .output()
        .unwrap();
    answer.status.success()
}

/// A flake whose hosts are what `hosts` says: Nix code that may call
/// `host { variant = …; … }` with the fields of `package` below.
pub fn fleet(hosts: &str) -> Scratch {
    fleet_with(hosts, "")
}

/// The same with further outputs, which may call `package`.
pub fn fleet_with(hosts: &str, outputs: &str) -> Scratch {
    let scratch = Scratch::new();
    let flake = FLAKE.replace("@hosts@", hosts).replace("@outputs@", outputs);
    scratch.write("flake.nix", &flake.replace("@nonce@", &nonce()).replace("@table@", TABLE));
    scratch
}

/// A copy of this repository whose fleet is `hosts`: name, and the body of its module.
pub fn repository(hosts: &[(&str, &str)]) -> Scratch {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let copy = Scratch::new();
    let names = ["flake.nix", "flake.lock", "home", "nixos", "overlays", "testbed", "tests"];
    let mut copied = Command::new("cp");
    copied.arg("-r").args(names).arg(copy.path()).current_dir(ours);
    assert!(copied.status().unwrap().success());
    let mut table = String::from("{\n");
    for (name, body) in hosts {
        table += &format!(
            "  {name} = {{ system = \"x86_64-linux\"; target = \"{name}\"; hardware = null; }};\n"
        );
        copy.write(&format!("hosts/{name}/default.nix"), body);
    }
    copy.write("hosts/default.nix", &(table + "}\n"));
    for args in [&["init", "--quiet"][..], &["add", "--all"]] {
        let git = Command::new("git").args(args).current_dir(copy.path()).status();
        assert!(git.unwrap().success());
    }
    copy
}

const TABLE: &str = include_str!("../../../../overlays/llama-cpp/microarch.json");

/// `script` runs in /bin/sh; `needs` is built first. Everything that xtask reads of a
/// real host is here, and nothing else.
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
        if builtins.elem feature (table.x86_64.microarchs.${microarch} or [ ]) then "ON" else "OFF"
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
