# Tracing while evaluating, and `runTests`.
{ lib }:
let
  inherit (builtins) deepSeq trace;
in
rec {
  traceIf =
    pred: msg: x:
    if pred then trace msg x else x;
  traceValFn = f: x: trace (f x) x;
  traceVal = traceValFn lib.id;
  traceSeq = x: y: trace (deepSeq x x) y;
  traceValSeqFn = f: v: traceValFn f (deepSeq v v);
  traceValSeq = traceValSeqFn lib.id;
  showWarnings = warnings: result: lib.foldr (w: x: lib.warn w x) result warnings;
  runTests =
    tests:
    lib.concatLists (
      lib.mapAttrsToList (
        name: test:
        lib.optional
          (
            (lib.hasPrefix "test" name || (tests ? tests && lib.elem name tests.tests))
            && test.expr != test.expected
          )
          {
            inherit name;
            inherit (test) expected;
            result = test.expr;
          }
      ) (removeAttrs tests [ "tests" ])
    );
}
