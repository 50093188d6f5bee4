# Edit distance, for "did you mean".
{ lib }:
let
  inherit (builtins) elemAt stringLength substring;
in
rec {
  # The table is lazy: each cell is computed once and only if reached.
  levenshtein =
    a: b:
    let
      rows = lib.genList (i: lib.genList (j: cell i j) (stringLength b + 1)) (stringLength a + 1);
      at = i: j: elemAt (elemAt rows i) j;
      cell =
        i: j:
        if j == 0 then
          i
        else if i == 0 then
          j
        else if substring (i - 1) 1 a == substring (j - 1) 1 b then
          at (i - 1) (j - 1)
        else
          1 + lib.min (lib.min (at (i - 1) j) (at i (j - 1))) (at (i - 1) (j - 1));
    in
    at (stringLength a) (stringLength b);

  # Comparing lengths first rules out most names cheaply.
  levenshteinAtMost =
    k: a: b:
    let
      gap = stringLength a - stringLength b;
    in
    (if gap < 0 then -gap else gap) <= k && levenshtein a b <= k;
}
