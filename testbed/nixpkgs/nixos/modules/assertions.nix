# Assertions and warnings.
{ lib, ... }:
{
  options = {
    assertions = lib.mkOption {
      type = lib.types.listOf lib.types.unspecified;
      internal = true;
      default = [ ];
      example = [
        {
          assertion = false;
          message = "you can't enable this for that reason";
        }
      ];
      description = "Conditions that must hold for the evaluation of the system to succeed.";
    };
    warnings = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      internal = true;
      default = [ ];
      description = "Warnings to show while the system is evaluated.";
    };
    meta = lib.mkOption {
      type = lib.types.attrsOf lib.types.unspecified;
      internal = true;
      default = { };
      description = "Maintainers and documentation of modules.";
    };
  };
}
