# Generates docs/options.md from the modules' option descriptions:
#
#   nix eval --raw --file docs/options.nix markdown > docs/options.md
#
# It needs only a lib; the testbed's gives the same text as Nixpkgs'.
{
  lib ? import ../testbed/nixpkgs/lib,
}:
let
  # Reads the options without configuring a host.
  optionsOf =
    module:
    let
      eval = lib.evalModules {
        modules = [
          module
          {
            _module.check = false;
            _module.args.pkgs = throw "an option's documentation depends on the packages";
          }
        ];
      };
      isShown = option: option.visible && !option.internal;
    in
    lib.filter isShown (lib.optionAttrSetToDocList (removeAttrs eval.options [ "_module" ]));

  # What a reader begins with, then by name.
  enableFirst =
    options:
    let
      parts = lib.partition (option: lib.last option.loc == "enable") options;
    in
    parts.right ++ parts.wrong;

  nixos = enableFirst (optionsOf (import ../modules/nixos/llama-cpp.nix { self = { }; }));
  home = optionsOf (import ../modules/home-manager/llama-cpp.nix { self = { }; });

  names = map (option: option.name);
  isInHome = option: lib.elem option.name (names home);
  onlyInHome = lib.filter (option: !lib.elem option.name (names nixos)) home;

  # `null` in the line, a list of several lines below it.
  value =
    label:
    { text, ... }:
    if lib.hasInfix "\n" text then
      "- ${label}:\n\n  ```nix\n  ${lib.replaceStrings [ "\n" ] [ "\n  " ] (lib.trim text)}\n  ```"
    else
      "- ${label}: `${text}`";

  section =
    option:
    lib.concatStringsSep "\n" (
      [
        "## `${option.name}`"
        ""
        (lib.trim option.description)
        ""
        "- Type: ${option.type}${lib.optionalString option.readOnly ", read-only"}"
      ]
      ++ lib.optional (option ? default) (value "Default" option.default)
      ++ lib.optional (option ? example) (value "Example" option.example)
      ++ [ "- In: ${if isInHome option then "NixOS, home-manager" else "NixOS"}" ]
    );
in
assert lib.assertMsg (onlyInHome == [ ]) "home-manager alone has ${toString (names onlyInHome)}";
{
  markdown = ''
    # Options

    The options of `nixosModules.default` and `homeModules.default`. This file is generated:

    <!-- not run: it writes this file; a test compares the two -->
    ```console
    $ nix eval --raw --file docs/options.nix markdown > docs/options.md
    ```

    ${lib.concatMapStringsSep "\n\n" section nixos}
  '';
}
