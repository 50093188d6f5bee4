# What `check --full` evaluates of `nixosConfigurations`; fleet/queries.rs applies it and names
# the fields. The assertions come first, because `toplevel` throws them as one text.
host: configurations:
let
  inherit (configurations.${host}) config;
  failed = builtins.filter (assertion: !assertion.assertion) (config.assertions or [ ]);
in
{
  warnings = config.warnings or [ ];
}
// (
  if failed != [ ] then
    { assertions = map (assertion: assertion.message) failed; }
  else
    { inherit (config.system.build.toplevel) drvPath; }
)
