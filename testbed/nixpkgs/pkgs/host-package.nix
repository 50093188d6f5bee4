# A package of links to programs, libraries and headers that are installed on the machine. If one
# is missing, the build fails and names the Debian package to install.
{ lib, pkgs }:
{
  pname,
  # Programs in /usr/bin.
  programs ? [ ],
  # name in $out/lib -> patterns; the first match is the link's target.
  libraries ? { },
  # name in $out/include -> patterns.
  headers ? { },
  # The Debian package that contains them.
  debian ? pname,
  # The command that installs it.
  help ? "apt-get install ${debian}",
  setupHook ? null,
  postInstall ? "",
  propagatedBuildInputs ? [ ],
  passthru ? { },
  meta ? { },
}:
let
  link = directory: name: patterns: ''
    link ${lib.escapeShellArg "${directory}/${name}"} ${toString (lib.toList patterns)}
  '';
in
pkgs.stdenvNoCC.mkDerivation {
  inherit pname propagatedBuildInputs passthru;
  # Not a real version, which would make store paths differ between machines.
  version = "0-host";
  ${if setupHook == null then null else "setupHook"} = setupHook;
  phases = "installPhase fixupPhase";
  installPhase = ''
    link() {
      local name=$1 found
      shift
      for found in "$@"; do
        if [[ -e $found ]]; then
          mkdir -p "$out/$(dirname "$name")"
          ln -s "$found" "$out/$name"
          return
        fi
      done
      echo "testbed: ${pname} needs the Debian package ${debian}: ${help}" >&2
      exit 1
    }
    mkdir -p "$out"
    # The machine's library directory, so that patterns need no wildcard.
    multiarch=$(gcc -print-multiarch 2>/dev/null || true)
    ${lib.concatMapStrings (name: link "bin" name "/usr/bin/${name}") programs}
    ${lib.concatStrings (lib.mapAttrsToList (link "lib") libraries)}
    ${lib.concatStrings (lib.mapAttrsToList (link "include") headers)}
    ${postInstall}
  '';
  meta = {
    platforms = lib.platforms.linux;
    license = lib.licenses.mit;
  }
  // lib.optionalAttrs (programs != [ ]) { mainProgram = lib.head programs; }
  // meta;
}
