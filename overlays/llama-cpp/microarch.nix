# CPU microarchitectures, and the features that ggml can use.
#
# The table is microarch.json, which xtask embeds as well. nixpkgs'
# `lib.systems.architectures` lacks F16C, BMI2, VNNI and AMX.
#
# "dispatch" is not in the table: it builds all CPU modules, and the best one is loaded at
# start-up (see variant.nix).
{ lib }:
let
  table = lib.importJSON ./microarch.json;

  archOf = system: lib.head (lib.splitString "-" system);

  names = arch: lib.attrNames (table.${arch}.microarchs or { });
  namesFor = system: names (archOf system);

  # The row of each name of a CPU: the table's names, and those of compilers, marketing and boards.
  rowsByName =
    arch:
    lib.genAttrs (names arch) lib.id
    // lib.concatMapAttrs (row: others: lib.genAttrs others (_: row)) (table.${arch}.otherNames or { });

  # Makes "Kaby Lake", "kaby_lake" and "kabylake" equal.
  letters = name: lib.replaceStrings [ "-" "_" " " ] [ "" "" "" ] (lib.toLower name);
  rowOf =
    arch: name:
    (lib.mapAttrs' (known: lib.nameValuePair (letters known)) (rowsByName arch)).${letters name}
    or null;

  # Suggests a name for one that is not in the table. A feature that the CPU lacks crashes
  # llama.cpp, so a row is suggested only if the name's numbers and short words match ("n2" and "e2"
  # are different CPUs), and the row has no feature that an equally similar row lacks.
  suggestionFor =
    arch: name:
    let
      featuresOf = row: table.${arch}.microarchs.${row}.features or [ ];
      rows = rowsByName arch;
      lower = lib.replaceStrings [ "_" " " ] [ "-" "-" ] (lib.toLower name);
      numbersOf =
        text: lib.filter (part: lib.isString part && part != "") (builtins.split "[^0-9]+" text);
      shortWordsOf = text: lib.filter (word: lib.stringLength word < 4) (lib.splitString "-" text);

      edits = lib.min 2 (lib.stringLength lower / 4);
      distance = lib.strings.levenshtein lower;
      similar = lib.filter (lib.strings.levenshteinAtMost edits lower) (lib.attrNames rows);
      isMeant =
        known:
        numbersOf known == numbersOf lower
        && lib.subtractLists (shortWordsOf lower) (shortWordsOf known) == [ ];
      isSafe =
        known:
        lib.all (
          other:
          distance other > distance known
          || lib.subtractLists (featuresOf rows.${other}) (featuresOf rows.${known}) == [ ]
        ) similar;
      nearest = lib.sort (a: b: distance a < distance b) (
        lib.filter (known: isMeant known && isSafe known) similar
      );
    in
    if rowOf arch name != null then
      rowOf arch name
    else if nearest == [ ] then
      "dispatch"
    else
      rows.${lib.head nearest};

  # The error message about a name for a system, or null.
  problem =
    { system, name }:
    let
      arch = archOf system;
      known = names arch ++ [ "dispatch" ];
      others = lib.filter (other: other != arch && rowOf arch name == null && rowOf other name != null) (
        lib.attrNames table
      );
    in
    if lib.elem name known then
      null
    else if others != [ ] then
      "\"${name}\" is a microarchitecture of ${lib.head others}, but this is ${system}. Known here: ${lib.concatStringsSep ", " known}."
    else if
      lib.elem (lib.toLower name) [
        "native"
        "auto"
        "host"
        "max"
      ]
    then
      "\"${name}\" would depend on the machine that builds; write \"dispatch\", which selects the CPU's instruction sets at start-up, or what `xtask probe --local` prints."
    else
      let
        suggestion = suggestionFor arch name;
        help =
          if suggestion == "dispatch" then
            "write what `xtask probe --local` prints on the machine, or \"dispatch\", which runs on any CPU. Known for ${system}: ${lib.concatStringsSep ", " known}"
          else
            "write \"${suggestion}\", or \"dispatch\", which runs on any CPU";
      in
      "\"${name}\" is not a known microarchitecture; ${help}.";

  # CMake variable -> value. On x86 all options are set, also to false, because a default could
  # enable AVX-512 or AMX on a CPU that lacks it.
  cmakeOptionsFor =
    { system, name }:
    let
      row = table.${archOf system}.microarchs.${name};
    in
    if archOf system == "aarch64" then
      {
        GGML_CPU_ARM_ARCH = lib.concatStringsSep "+" ([ row.arch ] ++ row.features);
      }
    else
      lib.mapAttrs' (
        feature: { cmake, ... }: lib.nameValuePair cmake (lib.elem feature row.features)
      ) table.${archOf system}.features;
in
{
  inherit
    table
    names
    namesFor
    suggestionFor
    problem
    cmakeOptionsFor
    ;
}
