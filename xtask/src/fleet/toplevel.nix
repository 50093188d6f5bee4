# What `check --full` asks of `nixosConfigurations`; fleet/systems.rs applies it and names
# the fields. The assertions are asked for first: `toplevel` throws them as one text.
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
