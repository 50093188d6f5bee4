# What check, build-all and bench ask of `nixosConfigurations`; sys/flake.rs applies
# it and domain/manifest.rs (`Selection`) names the fields. Only these attributes are
# asked for: a host's toplevel would cost seconds and gigabytes.
{ hosts }:
configurations:
let
  select =
    host:
    if host.options ? programs.llama-cpp.manifest then
      let
        cfg = host.config.programs.llama-cpp;
      in
      {
        inherit (cfg) manifest;
        inherit (cfg.package) drvPath;
        # Context would make Nix realise the package before it prints the path.
        outPath = builtins.unsafeDiscardStringContext cfg.package.outPath;
        problems = cfg.problems or [ ];
      }
    else
      null;
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = select configurations.${name};
  }) hosts
)
