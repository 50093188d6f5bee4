# Returns what check, build-all and bench need from `nixosConfigurations`; check/evaluator.rs
# applies it, and fleet/manifest.rs (`Selection`) parses the result. Evaluating a host's toplevel
# would take seconds and gigabytes.
{ hosts }:
configurations:
let
  select =
    host:
    let
      cfg = host.config.programs.llama-cpp;
      # The messages of the module's assertions; with these the package is a `throw`.
      problems = cfg.problems or [ ];
      package = cfg.package;
    in
    if !(host.options ? programs.llama-cpp.manifest) || !cfg.enable then
      null
    else if problems != [ ] then
      refused host problems
    else if !(package.meta.available or true) then
      refused host (refusals package.meta)
    else
      {
        inherit (cfg) manifest;
        inherit (package) drvPath;
        # Not `outPath`: a set with that name becomes only that string in JSON.
        output = package.outPath;
        context = context host;
      };

  refused = host: problems: {
    inherit problems;
    # The files that define each option, without `package` and `manifest`, which do not evaluate.
    files = builtins.mapAttrs (_: option: map toString (option.files or [ ])) (
      removeAttrs host.options.programs.llama-cpp [
        "bench"
        "manifest"
        "package"
      ]
    );
  };

  # Why nixpkgs would refuse the package, in the form of overlays/llama-cpp/problems.nix: the
  # problem; what to do.
  refusals =
    meta:
    let
      option = "programs.llama-cpp.backend";
      reasons = {
        broken = "${option} selects a package that is marked as broken; choose another backend, or set nixpkgs.config.allowBroken = true to try it anyway.";
        insecure = "${option} selects a package that is marked as insecure; update nixpkgs to a version that fixes it, or add it to nixpkgs.config.permittedInsecurePackages.";
        unfree = "${option} selects a package that is unfree, and this nixpkgs refuses it; set nixpkgs.config.allowUnfree = true, or an allowUnfreePredicate that accepts it.";
        unsupported = "${option} selects a package that is not available on this host's system; choose another backend.";
      };
      found = builtins.filter (reason: meta.${reason} or false == true) (builtins.attrNames reasons);
    in
    if found == [ ] then
      [ "${option} selects a package that this nixpkgs refuses; see its meta and nixpkgs.config." ]
    else
      map (reason: reasons.${reason}) found;

  # The drivers that the GPU backends load at run time. On some machines the host does not install
  # them.
  drivers =
    config:
    let
      isFromOutside =
        config.boot.isContainer or false
        || config.wsl.enable or false
        || config.hardware.nvidia-jetpack.enable or false;
    in
    {
      graphics =
        isFromOutside || config.hardware.graphics.enable or config.hardware.opengl.enable or true;
      nvidia =
        isFromOutside
        || config.hardware.nvidia.datacenter.enable or false
        || builtins.elem "nvidia" (config.services.xserver.videoDrivers or [ "nvidia" ]);
      # Null unless it matters, because it evaluates the kernel's packages.
      nvidiaVersion =
        let
          isOld = capability: builtins.compareVersions capability "7.5" < 0;
          version = builtins.tryEval (config.hardware.nvidia.package.version or null);
          matters = !isFromOutside && builtins.any isOld (config.programs.llama-cpp.cudaCapabilities or [ ]);
        in
        if matters && version.success then version.value else null;
    };

  # The packages of the host that should be the variant, and nixpkgs' settings. fleet/manifest.rs
  # (`HostContext`) names the fields.
  context =
    host:
    let
      # A package with the same name may have other flags or another source.
      seen =
        package: files:
        let
          derivation = builtins.tryEval (package.drvPath or null);
          drvPath = if derivation.success then derivation.value else null;
          own = host.config.programs.llama-cpp.package;
        in
        {
          variant = package.llamaCpp.variant or null;
          inherit drvPath;
        }
        // (
          if drvPath == own.drvPath then
            { }
          else
            {
              cmakeFlags = package.llamaCpp.cmakeFlags or [ ];
              inherit files;
            }
        );
      files = option: map toString (option.files or [ ]);
      # Where overlays define `llama-cpp`: the position of the attribute, which is known even for an
      # inline module, else the file of the definition.
      overlayFiles =
        let
          definedBy =
            file: overlay:
            let
              attributes = overlay host.pkgs host.pkgs;
              position = builtins.unsafeGetAttrPos "llama-cpp" attributes;
              place = if position == null then toString file else "${position.file}:${toString position.line}";
              found = builtins.tryEval (if attributes ? llama-cpp then [ place ] else [ ]);
            in
            if found.success then found.value else [ ];
        in
        builtins.concatMap (
          { file, value, ... }:
          # The module's own overlay.
          if builtins.match ".*/modules/nixos/llama-cpp\\.nix" (toString file) != null then
            [ ]
          else
            builtins.concatMap (definedBy file) value
        ) (host.options.nixpkgs.overlays.definitionsWithLocations or [ ]);
      service = host.config.services.llama-cpp or { };
      hasJson = value: builtins.isBool value || builtins.isString value || builtins.isInt value;
      settings = host.config.nixpkgs.config or { };
    in
    {
      drivers = drivers host.config;
      overlaid = host.config.programs.llama-cpp.overlaid or true;
      packages =
        (
          if host ? pkgs && host.config.programs.llama-cpp.overlay or true then
            {
              "pkgs.llama-cpp" = seen (host.pkgs.llama-cpp or { }) overlayFiles;
            }
          else
            { }
        )
        // (
          if service.enable or false == true then
            {
              "services.llama-cpp.package" = seen service.package (
                files (host.options.services.llama-cpp.package or { })
              );
            }
          else
            { }
        );
      nixpkgs = {
        overlays = builtins.length (host.config.nixpkgs.overlays or [ ]);
      }
      // builtins.listToAttrs (
        map (name: {
          name = "config.${name}";
          value = settings.${name};
        }) (builtins.filter (name: hasJson settings.${name}) (builtins.attrNames settings))
      );
    };
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = select configurations.${name};
  }) hosts
)
