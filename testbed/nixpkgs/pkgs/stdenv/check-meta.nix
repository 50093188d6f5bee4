# Refusals: unfree, broken, insecure and unsupported packages do not evaluate,
# in Nixpkgs' own words, because users know those and our tool looks for them.
{
  lib,
  config,
  stdenv,
}:
let
  inherit (stdenv) hostPlatform;
  licensesOf = meta: lib.toList (meta.license or [ ]);
  isUnfree = license: builtins.isAttrs license && !(license.free or true);
  showLicenses = meta: lib.concatMapStringsSep ", " (l: "‘${l.shortName or l.fullName or "unknown"}’") (lib.filter isUnfree (licensesOf meta));

  how = what: option: ''
    a) To temporarily allow ${what}, you can use an environment variable
       for a single invocation of the nix tools.

         $ export ${option.env}=1

       Note: When using `nix shell`, `nix build`, `nix develop`, etc with a flake,
             then pass `--impure` in order to allow use of environment variables.

    b) For `nixos-rebuild` you can set
      { nixpkgs.config.${option.name} = ${option.value or "true"}; }
    in configuration.nix to override this.
  '';
in
{
  # What a package's `meta` says beyond what its author wrote.
  complete =
    { name, outputs }:
    meta:
    let
      unfree = lib.any isUnfree (licensesOf meta);
      unsupported = !lib.meta.availableOn hostPlatform { inherit meta; };
      broken = meta.broken or false;
      insecure = meta.knownVulnerabilities or [ ] != [ ];
    in
    {
      inherit
        name
        unfree
        unsupported
        broken
        insecure
        ;
      available =
        (!unfree || config.allowUnfree)
        && (!broken || config.allowBroken)
        && (!unsupported || config.allowUnsupportedSystem)
        && !insecure;
      outputsToInstall = [
        (if lib.elem "bin" outputs then "bin" else lib.head outputs)
      ];
    }
    // meta;

  assertValid =
    { name }:
    meta:
    let
      package = {
        inherit name meta;
        pname = lib.getName name;
        version = lib.getVersion name;
      };
      refuse =
        reason: help:
        throw "Package ‘${name}’ in ${meta.position or "«unknown-file»"} ${reason}, refusing to evaluate.\n\n${help}";
    in
    {
      valid =
        if meta.unfree && !config.allowUnfree && !config.allowUnfreePredicate package then
          refuse "has an unfree license (${showLicenses meta})" (
            how "unfree packages" {
              env = "NIXPKGS_ALLOW_UNFREE";
              name = "allowUnfree";
            }
            + ''

              Alternatively you can configure a predicate to allow specific packages:
                { nixpkgs.config.allowUnfreePredicate = pkg: builtins.elem (lib.getName pkg) [
                    "${package.pname}"
                  ];
                }
            ''
          )
        else if meta.broken && !config.allowBroken then
          refuse "is marked as broken" (
            how "broken packages" {
              env = "NIXPKGS_ALLOW_BROKEN";
              name = "allowBroken";
            }
          )
        else if meta.unsupported && !config.allowUnsupportedSystem then
          refuse "is not available on the requested hostPlatform:\n  hostPlatform.system = \"${hostPlatform.system}\"" (
            how "packages that are unsupported for this system" {
              env = "NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM";
              name = "allowUnsupportedSystem";
            }
          )
        else if
          meta.insecure && !lib.elem name config.permittedInsecurePackages && !config.allowInsecurePredicate package
        then
          refuse "is marked as insecure" ''
            Known issues:
            ${lib.concatMapStringsSep "\n" (v: " - ${v}") meta.knownVulnerabilities}

            You can install it anyway by allowing this package:
              { nixpkgs.config.permittedInsecurePackages = [ "${name}" ]; }
          ''
        else
          true;
    };
}
