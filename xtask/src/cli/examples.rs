//! Examples at the end of each command's help.

pub const CHECK: &str = "\
Examples:
  cargo xtask check                       Check all hosts
  cargo xtask check boron --full          Check one host, with its assertions
  cargo xtask check -j 4 --max-memory 8G  Limit evaluators and their memory";

pub const BUILD_ALL: &str = "\
Examples:
  cargo xtask build-all --dry-run          Show what would be built
  cargo xtask build-all boron carbon       Build the variants of two hosts
  cargo xtask build-all --backend cuda -j 2
  cargo xtask build-all --push ssh-ng://cache.example.org";

pub const BENCH: &str = "\
Examples:
  cargo xtask bench boron                  Measure a host's variant on its target
  cargo xtask bench local                  Measure on this machine
  cargo xtask bench --all                  Measure every host in turn
  cargo xtask bench boron --compare upstream
  cargo xtask bench boron --sweep t=1..16*2 --budget 10m
  cargo xtask bench boron --model /models/qwen.gguf -- -ngl 99";

pub const BISECT: &str = "\
Examples:
  cargo xtask bisect --bad master
  cargo xtask bisect --by bench:5 --host boron --good b10400 --bad b10453
  cargo xtask bisect --by build --tags --apply";

pub const UPDATE: &str = "\
Examples:
  cargo xtask update --dry-run             Evaluate with the newest revision
  cargo xtask update --commit              Update and commit flake.lock
  cargo xtask update --to b10453 --bench boron";

pub const ROLLBACK: &str = "\
Examples:
  cargo xtask rollback                     Restore the previous pin
  cargo xtask rollback --list              List earlier pins";

pub const REPORT: &str = "\
Examples:
  cargo xtask report boron
  cargo xtask report --html report.html";

pub const PROBE: &str = "\
Examples:
  cargo xtask probe local                  Probe this machine
  cargo xtask probe boron --write          Save the facts for `check`";

pub const NEW_HOST: &str = "\
Examples:
  cargo xtask new-host helium --dry-run
  cargo xtask new-host helium --from root@192.0.2.7";

pub const MATRIX: &str = "\
Example:
  echo \"matrix=$(cargo xtask matrix)\" >> \"$GITHUB_OUTPUT\"";

pub const EXPLAIN: &str = "\
Examples:
  cargo xtask explain below-cpu
  cargo xtask explain                      List all codes";

pub const COMPLETIONS: &str = "\
Examples:
  echo 'source <(cargo xtask completions bash)' >> ~/.bashrc   In a checkout
  xtask completions fish > ~/.config/fish/completions/xtask.fish";
