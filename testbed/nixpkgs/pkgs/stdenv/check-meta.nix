# Unfree, broken, insecure and unsupported packages fail to evaluate with Nixpkgs'
# messages: users recognise them and xtask parses them.
{
  lib,
  config,
  stdenv,
}:
let
  inherit (stdenv) hostPlatform;
  isUnfree = license: builtins.isAttrs license && !(license.free or true);
  unfreeLicenses = meta: lib.filter isUnfree (lib.toList (meta.license or [ ]));
  showLicenses = lib.concatMapStringsSep ", " (l: "‘${l.shortName or l.fullName or "unknown"}’");

  allow =
    {
      what,
      environment,
      option,
    }:
    ''
      a) To temporarily allow ${what}, you can use an environment variable
         for a single invocation of the nix tools.

           $ export ${environment}=1

         Note: When using `nix shell`, `nix build`, `nix develop`, etc with a flake,
               then pass `--impure` in order to allow use of environment variables.

      b) For `nixos-rebuild` you can set
        { nixpkgs.config.${option} = true; }
      in configuration.nix to override this.
    '';
in
# From a package's name and `meta`: the completed `meta`, and whether the package
# may be used.
{ name, outputs }:
written:
let
  facts = {
    unfree = unfreeLicenses written != [ ];
    broken = written.broken or false;
    unsupported = !lib.meta.availableOn hostPlatform { meta = written; };
    insecure = written.knownVulnerabilities or [ ] != [ ];
  };
  # The argument of the `config` predicates.
  package = {
    inherit name;
    pname = lib.getName name;
    version = lib.getVersion name;
    meta = written // facts;
  };

  # The first problem, or null.
  refusal =
    if facts.unfree && !config.allowUnfree && !config.allowUnfreePredicate package then
      {
        reason = "has an unfree license (${showLicenses (unfreeLicenses written)})";
        help =
          allow {
            what = "unfree packages";
            environment = "NIXPKGS_ALLOW_UNFREE";
            option = "allowUnfree";
          }
          + ''

            Alternatively you can configure a predicate to allow specific packages:
              { nixpkgs.config.allowUnfreePredicate = pkg: builtins.elem (lib.getName pkg) [
                  "${package.pname}"
                ];
              }
          '';
      }
    else if facts.broken && !config.allowBroken then
      {
        reason = "is marked as broken";
        help = allow {
          what = "broken packages";
          environment = "NIXPKGS_ALLOW_BROKEN";
          option = "allowBroken";
        };
      }
    else if facts.unsupported && !config.allowUnsupportedSystem then
      {
        reason = ''
          is not available on the requested hostPlatform:
            hostPlatform.system = "${hostPlatform.system}"
        '';
        help = allow {
          what = "packages that are unsupported for this system";
          environment = "NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM";
          option = "allowUnsupportedSystem";
        };
      }
    else if
      facts.insecure
      && !lib.elem name config.permittedInsecurePackages
      && !config.allowInsecurePredicate package
    then
      {
        reason = "is marked as insecure";
        help = ''
          Known issues:
          ${lib.concatMapStringsSep "\n" (v: " - ${v}") written.knownVulnerabilities}

          You can install it anyway by allowing this package:
            { nixpkgs.config.permittedInsecurePackages = [ "${name}" ]; }
        '';
      }
    else
      null;
in
{
  meta =
    facts
    // {
      inherit name;
      available = refusal == null;
      outputsToInstall = [ (if lib.elem "bin" outputs then "bin" else lib.head outputs) ];
    }
    // written;

  valid =
    refusal == null
    || throw "Package ‘${name}’ in ${
      written.position or "«unknown-file»"
    } ${refusal.reason}, refusing to evaluate.\n\n${refusal.help}";
}
