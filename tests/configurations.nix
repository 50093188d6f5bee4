# Unusual configurations of a NixOS host with the module.
{
  flake,
  lib,
  systemWith,
  ...
}:
let
  inherit (flake.inputs) nixpkgs;

  znver4With =
    modules:
    systemWith (
      modules
      ++ [
        {
          programs.llama-cpp = {
            enable = true;
            microarch = lib.mkDefault "znver4";
          };
        }
      ]
    );

  # The variants of the option and of `pkgs`.
  variantsOf =
    system:
    map (package: package.llamaCpp.variant) [
      system.config.programs.llama-cpp.package
      system.pkgs.llama-cpp
      system.pkgs.llama-cpp-vulkan
    ];
  evaluates = value: (builtins.tryEval (builtins.seq value true)).success;
  sourceIsTaken =
    source:
    evaluates (znver4With [ { programs.llama-cpp.source = source; } ]).config.programs.llama-cpp.source;
in
{
  "the overlay in the host's own list, too, leaves the host's variant" = {
    expr =
      map (order: variantsOf (znver4With [ { nixpkgs.overlays = order [ flake.overlays.default ]; } ]))
        [
          lib.mkBefore
          lib.mkAfter
        ];
    expected = lib.genList (_: [
      "cpu-znver4"
      "cpu-znver4"
      "vulkan-znver4"
    ]) 2;
  };
  "packages that are given to the host get its variant" = {
    expr = variantsOf (znver4With [
      { nixpkgs.pkgs = import nixpkgs { system = "x86_64-linux"; }; }
    ]);
    expected = [
      "cpu-znver4"
      "cpu-znver4"
      "vulkan-znver4"
    ];
  };
  # As in a container, which uses the packages of its host.
  "also if they are those of another host" = {
    expr = variantsOf (znver4With [
      {
        nixpkgs.pkgs = (znver4With [ ]).pkgs;
        programs.llama-cpp.microarch = "tigerlake";
      }
    ]);
    expected = [
      "cpu-tigerlake"
      "cpu-tigerlake"
      "vulkan-tigerlake"
    ];
  };
  "a specialisation can have another variant" = {
    expr = variantsOf (
      (znver4With [ ]).extendModules {
        modules = [ { programs.llama-cpp.backend = "vulkan"; } ];
      }
    );
    expected = [
      "vulkan-znver4"
      "vulkan-znver4"
      "vulkan-znver4"
    ];
  };
  "the module can be disabled where another one imports it" = {
    expr =
      (lib.nixosSystem {
        modules = [
          { imports = [ flake.nixosModules.llama-cpp ]; }
          { disabledModules = [ flake.nixosModules.default ]; }
        ];
      }).options
        ? programs.llama-cpp;
    expected = false;
  };
  # nixpkgs#488117 proposes `instances`.
  "nixpkgs' service can be absent or replaced" = {
    expr =
      map
        (
          module:
          let
            inherit (znver4With [ module ]) config;
          in
          {
            inherit (config.programs.llama-cpp.manifest) service serviceHasExtraFlags;
            unit = config.systemd.services ? llama-cpp;
          }
        )
        (
          map (options: { disabledModules = [ "llama-cpp.nix" ]; } // options) [
            { }
            { options.services.llama-cpp.instances = lib.mkOption { default = { }; }; }
            { options.services.llama-cpp = lib.mkOption { default = { }; }; }
          ]
        );
    expected = lib.genList (_: {
      service = null;
      serviceHasExtraFlags = false;
      unit = false;
    }) 3;
  };
  "an assertion names the files that set the option" = {
    expr =
      let
        file = builtins.toFile "host.nix" ''{ programs.llama-cpp.cudaCapabilities = [ "8.6" ]; }'';
        inherit (znver4With [ file ]) config;
        failed = lib.filter (a: !a.assertion && lib.hasInfix "llama-cpp" a.message) config.assertions;
      in
      map (a: lib.hasSuffix " It is set in `${file}'." a.message) failed;
    expected = [ true ];
  };
  "a source without llama.cpp's Nix files is an error of the option" = {
    expr = map sourceIsTaken [
      flake.inputs.llama-cpp
      (removeAttrs flake.inputs.llama-cpp [ "inputs" ])
      nixpkgs
      ../.
      "github:ggml-org/llama.cpp"
    ];
    expected = [
      true
      true
      false
      false
      false
    ];
  };
}
