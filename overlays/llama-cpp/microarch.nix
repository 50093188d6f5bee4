# CPU microarchitectures and what ggml can use of them.
#
# The table itself is microarch.json: xtask embeds the same file, so that Nix
# and Rust can never disagree. It is ours, not nixpkgs'
# `lib.systems.architectures`, because that one knows neither F16C, BMI2, VNNI
# nor AMX.
#
# "dispatch" is no row of the table. It is the absence of a choice: every
# CPU module is built and the best one is picked at start-up (see variant.nix).
{ lib }:
let
  table = lib.importJSON ./microarch.json;
  cmakeFlags = import ./cmake-flags.nix { inherit lib; };

  archOf = system: lib.head (lib.splitString "-" system);

  names = arch: lib.attrNames (table.${arch}.microarchs or { });
  namesFor = system: names (archOf system);

  nearest =
    name: candidates:
    let
      distance = lib.strings.levenshtein name;
    in
    lib.head (lib.sort (a: b: distance a < distance b) candidates);

  # A sentence that says what is wrong with this name on this system, or null.
  problem =
    { system, name }:
    let
      arch = archOf system;
      known = names arch ++ [ "dispatch" ];
      others = lib.filter (other: lib.elem name (names other)) (
        lib.filter (other: other != arch) (lib.attrNames table)
      );
    in
    if lib.elem name known then
      null
    else if others != [ ] then
      "\"${name}\" is a microarchitecture of ${lib.head others}, but this is ${system}. Known here: ${lib.concatStringsSep ", " known}."
    else
      "\"${name}\" is not a known microarchitecture; did you mean \"${nearest name known}\"? Known for ${system}: ${lib.concatStringsSep ", " known}.";

  lookup =
    { system, name }:
    let
      message = problem { inherit system name; };
    in
    if message == null then
      table.${archOf system}.microarchs.${name}
    else
      throw "llamafleet: ${message}";

  # CMake variable -> value. On x86 every option is given, those that the CPU
  # lacks as false: what is left out keeps its default, and a default is how
  # AVX-512 or AMX would reach a CPU that dies of it.
  cmakeOptionsFor =
    { system, name }:
    let
      row = lookup { inherit system name; };
    in
    if archOf system == "aarch64" then
      {
        GGML_CPU_ARM_ARCH = lib.concatStringsSep "+" ([ row.arch ] ++ row.features);
      }
    else
      lib.mapAttrs' (
        feature: { cmake, ... }: lib.nameValuePair cmake (lib.elem feature row)
      ) table.${archOf system}.features;

  cmakeFlagsFor = args: cmakeFlags.fromAttrs (cmakeOptionsFor args);
in
{
  inherit
    table
    names
    namesFor
    nearest
    problem
    lookup
    cmakeOptionsFor
    cmakeFlagsFor
    ;
}
