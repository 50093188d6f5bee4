# Evaluation errors that users see, and the text that each must contain. Nix cannot read an error's
# text, so xtask/tests evaluates `cases.NAME.expr`, expects a failure, and looks for each
# of `cases.NAME.says` in Nix's output:
#
#   nix eval --file testbed/tests/errors.nix cases.NAME.expr
#
# The first ones also pass with Nixpkgs' lib (`--arg lib 'import PATH/lib'`).
{
  lib ? import ../nixpkgs/lib,
}:
let
  inherit (lib) mkOption types;
  value =
    type: defs:
    (lib.evalModules {
      modules = [
        {
          _file = "options.nix";
          options.programs.llama-cpp.x = mkOption { inherit type; };
          options.programs.llama-cpp.backend = mkOption { default = "cpu"; };
        }
      ]
      ++ lib.imap1 (i: config: {
        _file = "hosts/${toString i}.nix";
        inherit config;
      }) defs;
    }).config.programs.llama-cpp.x;
  x = v: { programs.llama-cpp.x = v; };
  packages =
    config:
    import ../nixpkgs {
      inherit lib config;
      system = "x86_64-linux";
    };
  nixos =
    modules:
    (import ../nixpkgs/nixos/eval-config.nix {
      inherit lib;
      modules = modules ++ [ { nixpkgs.hostPlatform = "x86_64-linux"; } ];
    }).config.system.build.toplevel.drvPath;
in
{
  cases = {
    unknownOption = {
      expr = value types.int [
        (x 1)
        { programs.llama-cpp.backnd = "cuda"; }
      ];
      says = [
        "The option `programs.llama-cpp.backnd' does not exist. Definition values:"
        "- In `hosts/2.nix': \"cuda\""
        "Did you mean `programs.llama-cpp.backend'"
      ];
    };
    wrongType = {
      expr = value types.int [ (x "one") ];
      says = [
        "A definition for option `programs.llama-cpp.x' is not of type `signed integer'. Definition values:"
        "- In `hosts/1.nix': \"one\""
      ];
    };
    wrongEnum = {
      expr = value (types.enum [
        "cpu"
        "cuda"
      ]) [ (x "cdua") ];
      says = [ "is not of type `one of \"cpu\", \"cuda\"'. Definition values:" ];
    };
    wrongElement = {
      expr = lib.deepSeq (value (types.listOf types.str) [ (x [ 7.5 ]) ]) true;
      says = [
        "A definition for option `programs.llama-cpp.x.\"[definition 1-entry 1]\"' is not of type `string'."
      ];
    };
    conflict = {
      expr = value types.str [
        (x "a")
        (x "b")
      ];
      says = [
        "The option `programs.llama-cpp.x' has conflicting definition values:"
        "- In `hosts/1.nix': \"a\""
        "- In `hosts/2.nix': \"b\""
        "Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions."
      ];
    };
    undefined = {
      expr = value types.str [ ];
      says = [
        "The option `programs.llama-cpp.x' was accessed but has no value defined. Try setting the option."
      ];
    };
    twice = {
      expr = value types.package [
        (x (packages { }).hello)
        (x (packages { }).hello)
      ];
      says = [
        "The option `programs.llama-cpp.x' is defined multiple times while it's expected to be unique."
      ];
    };
    readOnly = {
      expr =
        (lib.evalModules {
          modules = [
            {
              options.package = mkOption {
                type = types.int;
                readOnly = true;
                default = 1;
              };
            }
            {
              _file = "host.nix";
              package = 2;
            }
          ];
        }).config.package;
      says = [ "The option `package' is read-only, but it's set multiple times. Definition values:" ];
    };
    notASet = {
      expr = value types.str [ { programs.llama-cpp = 1; } ];
      says = [
        "In module `hosts/1.nix', you're trying to define a value of type `int'"
        "rather than an attribute set for the option"
      ];
    };
    attributeBesideConfig = {
      expr =
        (lib.evalModules {
          modules = [
            {
              options.a = mkOption { };
              a = 1;
            }
          ];
        }).config;
      says = [
        "has an unsupported attribute `a'. This is caused by introducing a top-level `config' or `options' attribute."
      ];
    };
    missingArgument = {
      expr = lib.callPackageWith { cudaPackages = 1; } ({ cudaPackage }: cudaPackage) { };
      says = [
        "Function called without required argument \"cudaPackage\""
        "did you mean \"cudaPackages\"?"
      ];
    };

    # The following texts come from the testbed's packages, modules and lib.
    absentFunction = {
      expr = (import ../nixpkgs/lib).fileset.toSource { };
      says = [ "the testbed's nixpkgs has no lib.fileset" ];
    };
    absentInNamespace = {
      expr = (import ../nixpkgs/lib).strings.escapeXML "&";
      says = [ "the testbed's nixpkgs has no lib.strings.escapeXML" ];
    };
    absentAtTopLevel = {
      expr = (import ../nixpkgs/lib).escapeXML "&";
      says = [ "the testbed's nixpkgs has no lib.strings.escapeXML" ];
    };
    absentType = {
      expr = (import ../nixpkgs/lib).types.attrTag { };
      says = [ "the testbed's nixpkgs has no lib.types.attrTag" ];
    };
    unfree = {
      expr = (packages { }).cudaPackages.cuda_nvcc.drvPath;
      says = [
        "Package ‘cuda_nvcc-13.4’ in"
        "has an unfree license (‘CUDA EULA’), refusing to evaluate."
        "export NIXPKGS_ALLOW_UNFREE=1"
        "{ nixpkgs.config.allowUnfree = true; }"
      ];
    };
    unsupported = {
      expr =
        (import ../nixpkgs {
          inherit lib;
          system = "aarch64-linux";
        }).rocmPackages.clr.drvPath;
      says = [ "is not available on the requested hostPlatform:" ];
    };
    broken = {
      expr = ((packages { }).hello.overrideAttrs { meta.broken = true; }).drvPath;
      says = [ "is marked as broken, refusing to evaluate." ];
    };
    failedAssertions = {
      expr = nixos [
        {
          assertions = [
            {
              assertion = false;
              message = "one";
            }
            {
              assertion = false;
              message = "two";
            }
          ];
        }
      ];
      says = [
        "Failed assertions:"
        "- one"
        "- two"
      ];
    };
    unknownNixosOption = {
      expr = nixos [
        # As for a host with llamafleet's module.
        { _module.check = true; }
        {
          _file = "hosts/carbon/default.nix";
          hardware.graphic.enable = true;
        }
      ];
      says = [
        "The option `hardware.graphic' does not exist. Definition values:"
        "- In `hosts/carbon/default.nix':"
      ];
    };
  };
}
