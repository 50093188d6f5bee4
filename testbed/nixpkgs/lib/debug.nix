# Tracing during evaluation.
{
  traceVal = x: builtins.trace x x;
  traceValSeq = x: builtins.trace (builtins.deepSeq x x) x;
}
