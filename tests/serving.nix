# Servers: of nitrogen, of docs/serving.md, and with an earlier nixpkgs.
{
  flake,
  lib,
  systemWith,
  ...
}:
let
  nixos = "${flake.inputs.nixpkgs}/nixos/modules";
  hasBothShapes = builtins.pathExists "${nixos}/llama-cpp-flags.nix";

  flagsShape = import ./flags-shape.nix;

  # The fleet's server, also with an earlier nixpkgs.
  nitrogen = {
    default = flake.nixosConfigurations.nitrogen.config;
  }
  // lib.optionalAttrs hasBothShapes {
    flags =
      (flake.nixosConfigurations.nitrogen.extendModules {
        modules = [
          flagsShape
          flake.nixosModules.llama-cpp-settings
        ];
      }).config;
  };
  nitrogens = test: lib.mapAttrs (_shape: test) nitrogen;

  unit = config: config.systemd.services.llama-cpp.serviceConfig;

  # The Nix code blocks, each a module.
  blocks = map (part: lib.head (lib.splitString "\n```" part)) (
    lib.tail (lib.splitString "\n```nix\n" (builtins.readFile ../docs/serving.md))
  );

  systemOf =
    imports:
    (systemWith [
      {
        inherit imports;
        nixpkgs.config.allowUnfree = true;
        programs.llama-cpp = {
          enable = true;
          backend = [
            "cuda"
            "rocm"
          ];
        };
        services.llama-cpp.enable = true;
        boot.loader.grub.device = "nodev";
        fileSystems."/".device = "/dev/disk/by-label/nixos";
      }
    ]).config;

  isSystem =
    config:
    lib.hasSuffix ".drv" (builtins.unsafeDiscardStringContext config.system.build.toplevel.drvPath);
  all = systemOf (map (import' "block") blocks);
  import' = name: text: import (builtins.toFile "${name}.nix" text);
  commands = lib.mapAttrs (
    _name: service: builtins.unsafeDiscardStringContext service.serviceConfig.ExecStart
  ) { inherit (all.systemd.services) llama-cpp llama-swap; };
in
{
  "each block of docs/serving.md is a module that evaluates" = {
    expr = map (block: isSystem (systemOf [ (import' "block" block) ])) blocks;
    expected = map (_: true) blocks;
  };
  "and together they are a server" = {
    expr = {
      blocks = lib.length blocks >= 4;
      system = isSystem all;
      router = lib.hasInfix "--models-dir /srv/models" commands.llama-cpp;
      presets = builtins.match ".* --models-preset [^ ]*-models[.]ini .*" commands.llama-cpp != null;
      swap = builtins.match ".*/bin/llama-swap --listen :9292 --config .*" commands.llama-swap != null;
    };
    expected = {
      blocks = true;
      system = true;
      router = true;
      presets = true;
      swap = true;
    };
  };
  "nitrogen serves what its presets name, on both cards, behind a key" = {
    expr = nitrogens (
      config:
      let
        words = lib.splitString " " (builtins.unsafeDiscardStringContext (unit config).ExecStart);
        isModels = word: builtins.match ".*-models[.]ini" word != null;
      in
      {
        program =
          builtins.match ".*-llama-cpp-cuda-rocm-dispatch-.*/bin/llama-server" (lib.head words) != null;
        # The models are in a separate file, which does not contain the key.
        arguments = map (word: if isModels word then "models.ini" else word) (lib.tail words);
        inherit (unit config)
          CacheDirectory
          LoadCredential
          MemoryDenyWriteExecute
          PrivateUsers
          ProcSubset
          SupplementaryGroups
          ;
        open = lib.elem 8080 config.networking.firewall.allowedTCPPorts;
        persistent = config.hardware.nvidia.nvidiaPersistenced;
        inherit (config.programs.llama-cpp.manifest.service) threads kvCacheTypes;
      }
    );
    expected = nitrogens (_config: {
      program = true;
      arguments = [
        "--api-key-file"
        "/run/credentials/llama-cpp.service/api-key"
        "--host"
        "0.0.0.0"
        "--models-max"
        "2"
        "--models-preset"
        "models.ini"
        "--port"
        "8080"
      ];
      CacheDirectory = "llama-cpp";
      LoadCredential = "api-key:/var/lib/llama-cpp-api-key";
      MemoryDenyWriteExecute = true;
      PrivateUsers = true;
      ProcSubset = "all";
      SupplementaryGroups = [ "render" ];
      open = true;
      persistent = true;
      threads = null;
      kvCacheTypes = [ ];
    });
  };
  # Like nixpkgs' module, so that a host can switch between them.
  "an earlier nixpkgs can have settings" = {
    expr =
      let
        arguments =
          modules: settings:
          let
            config = systemOf (modules ++ [ { services.llama-cpp = { inherit settings; }; } ]);
            line = builtins.unsafeDiscardStringContext (unit config).ExecStart;
          in
          lib.concatStringsSep " " (lib.tail (lib.splitString " " line));
        earlier = lib.optional hasBothShapes flagsShape ++ [ flake.nixosModules.llama-cpp-settings ];
        settings = {
          c = 4096;
          device = null;
          jinja = true;
          lora = [
            "a.gguf"
            "b.gguf"
          ];
          mlock = false;
          temp = 0.5;
        };
      in
      lib.optionals hasBothShapes [
        (arguments earlier settings)
        (arguments [ ] settings == arguments earlier settings)
        # Quoted for systemd, which nixpkgs' module leaves to the user.
        (arguments earlier {
          alias = "50%";
          models-dir = "/srv/my models";
        })
      ];
    expected = lib.optionals hasBothShapes [
      "-c 4096 --host 127.0.0.1 --jinja --lora a.gguf --lora b.gguf --port 8080 --temp 0.500000"
      true
      "--alias 50%% --host 127.0.0.1 --models-dir '/srv/my models' --port 8080"
    ];
  };
}
