# Edit distance: how "did you mean" is found. Also common prefixes.
{ lib }:
let
  inherit (builtins) elemAt stringLength substring;
in
rec {
  commonPrefixLength =
    a: b:
    let
      m = lib.min (stringLength a) (stringLength b);
      go = i: if i >= m || substring i 1 a != substring i 1 b then i else go (i + 1);
    in
    go 0;
  commonSuffixLength =
    a: b:
    let
      m = lib.min (stringLength a) (stringLength b);
      at = s: i: substring (stringLength s - i - 1) 1 s;
      go = i: if i >= m || at a i != at b i then i else go (i + 1);
    in
    go 0;

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

  # A difference in length alone is a distance, which rules most names out cheaply.
  levenshteinAtMost =
    k: a: b:
    let
      gap = stringLength a - stringLength b;
    in
    (if gap < 0 then -gap else gap) <= k && levenshtein a b <= k;
}
