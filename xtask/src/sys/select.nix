# What check, build-all and bench ask of `nixosConfigurations`; sys/flake.rs applies
# it and domain/manifest.rs (`Selection`) names the fields. Only these attributes are
# asked for: a host's toplevel would cost seconds and gigabytes.
{ hosts }:
configurations:
let
  select =
    host:
    let
      cfg = host.config.programs.llama-cpp;
      # What the module's assertions would say; with these the package is a `throw`.
      problems = cfg.problems or [ ];
    in
    if !(host.options ? programs.llama-cpp.manifest) || !cfg.enable then
      null
    else if problems != [ ] then
      {
        inherit problems;
        # Where each option is defined, to lead the user there. Not of `package` and
        # `manifest`: they are what cannot be had.
        files = builtins.mapAttrs (_: option: map toString (option.files or [ ])) (
          removeAttrs host.options.programs.llama-cpp [
            "bench"
            "manifest"
            "package"
          ]
        );
      }
    else
      {
        inherit (cfg) manifest;
        inherit (cfg.package) drvPath;
        # Not `outPath`: as JSON, a set with that name is its value and no more.
        output = cfg.package.outPath;
      };
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = select configurations.${name};
  }) hosts
)
