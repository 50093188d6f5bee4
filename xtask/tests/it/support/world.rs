//! A small upstream repository with what the drift guard reads, and a fleet that takes it
//! as its input: for `update` and `rollback` with real Nix and real git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Scratch, code, json, stderr};

/// An upstream, a fleet that is locked to its first commit, and a home of their own.
pub struct World {
    pub scratch: Scratch,
    pub fleet: Scratch,
}

pub const PACKAGE: &str = "{ useBlas ? false, useCuda ? false, useRocm ? false, useVulkan ? false, \
                       useMetalKit ? false, useMpi ? false, cudaPackages, rocmGpuTargets ? \"\" }: { }\n";

impl World {
    /// Hosts: `plain` does not read the input, `reads` builds its file `content`, and
    /// `evaluates` needs its file `needed` to evaluate.
    pub fn new() -> Self {
        Self::of(HOSTS)
    }

    /// Hosts as in [`super::fleet`], which may also call `source HOST` for the llama.cpp that
    /// this host has: the real modules/shared/source.nix.
    pub fn of(hosts: &str) -> Self {
        let world = Self { scratch: Scratch::new(), fleet: super::fleet(hosts) };
        let upstream = world.upstream();
        fs::create_dir_all(&upstream).unwrap();
        git(&upstream, &["init", "--quiet", "--initial-branch=main"]);
        world.put("flake.nix", "{ outputs = _: { }; }\n");
        world.put(".devops/nix/package.nix", PACKAGE);
        world.put(".devops/nix/scope.nix", "{ llamaVersion ? \"0\" }: { }\n");
        world.put("CMakeLists.txt", "");
        world.put("needed", "1");
        let needs: Value =
            serde_json::from_str(include_str!("../../../../overlays/llama-cpp/needs.json"))
                .unwrap();
        let options = needs["cmakeOptions"].as_object().unwrap().keys();
        let declared: String = options.map(|name| format!("option({name} \"x\" OFF)\n")).collect();
        world.put("ggml/CMakeLists.txt", &declared);
        world.release("one");

        let flake = world.fleet.path().join("flake.nix");
        let text = fs::read_to_string(&flake).unwrap();
        let input = format!(
            "inputs.llama-cpp.url = \"git+file://{}?ref=main\"; inputs.other.url = \
             \"path:./other\"; outputs = {{ self, llama-cpp, ... }}: let source = host: import \
             ./modules/shared/source.nix {{ inherit llama-cpp host; fleet = self; }};",
            upstream.display()
        );
        fs::write(&flake, text.replace("outputs = _: let", &input)).unwrap();
        for file in ["modules/shared/source.nix", "overlays/llama-cpp/fleet-state.nix"] {
            let text = fs::read_to_string(super::repository().join(file)).unwrap();
            world.fleet.write(file, &text);
        }
        world.fleet.write("other/flake.nix", "{ outputs = _: { }; }\n");
        let fleet = world.fleet.path();
        git(fleet, &["init", "--quiet", "--initial-branch=main"]);
        git(fleet, &["config", "user.name", "Fleet"]);
        git(fleet, &["config", "user.email", "fleet@localhost"]);
        git(fleet, &["add", "--all"]);
        let lock = super::nix(["flake", "lock"]).current_dir(fleet).output().unwrap();
        assert!(lock.status.success(), "{}", stderr(&lock));
        git(fleet, &["add", "--all"]);
        git(fleet, &["commit", "--quiet", "--message", "fleet"]);
        world
    }

    pub fn upstream(&self) -> PathBuf {
        self.scratch.path().join("upstream")
    }

    pub fn put(&self, name: &str, text: &str) {
        self.scratch.write(&format!("upstream/{name}"), text);
    }

    /// A commit with this content, and its build's tag. Its revision.
    pub fn release(&self, content: &str) -> String {
        let upstream = self.upstream();
        self.put("content", content);
        git(&upstream, &["add", "--all"]);
        let who = ["-c", "user.name=Up", "-c", "user.email=up@localhost"];
        git(&upstream, &[&who[..], &["commit", "--quiet", "-m", content]].concat());
        let count = git(&upstream, &["rev-list", "--count", "HEAD"]);
        git(&upstream, &["tag", &format!("b{count}")]);
        git(&upstream, &["rev-parse", "HEAD"])
    }

    pub fn xtask(&self) -> Command {
        super::xtask(self.fleet.path())
    }

    pub fn run(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.xtask().args(args).arg("--json").output().unwrap();
        let document = if output.stdout.is_empty() { Value::Null } else { json(&output) };
        (code(&output), document, stderr(&output))
    }

    pub fn lock(&self) -> String {
        fs::read_to_string(self.fleet.path().join("flake.lock")).unwrap()
    }

    pub fn locked(&self) -> String {
        let lock: Value = serde_json::from_str(&self.lock()).unwrap();
        lock["nodes"]["llama-cpp"]["locked"]["rev"].as_str().unwrap().to_owned()
    }

    pub fn status(&self) -> String {
        git(self.fleet.path(), &["status", "--porcelain"])
    }
}

pub const HOSTS: &str = r#"
    plain = host { variant = "cpu-plain"; manifest.rev = llama-cpp.rev; };
    reads = host { variant = "cpu-reads"; manifest.rev = llama-cpp.rev; script = "read x < ${llama-cpp}/content; test $x != broken && echo $x > $out"; };
    evaluates = host { variant = "cpu-evaluates"; manifest.rev = llama-cpp.rev; script = "echo ${builtins.readFile "${llama-cpp}/needed"} > $out"; };
"#;

pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn state<'a>(report: &'a Value, host: &str) -> &'a str {
    let hosts = report["hosts"].as_array().unwrap().iter();
    let mut found = hosts.filter(|it| it["host"] == host);
    found.next().unwrap()["state"].as_str().unwrap()
}
