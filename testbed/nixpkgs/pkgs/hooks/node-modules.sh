# Links the (empty) node_modules, as Nixpkgs' hook does before configuring.
linkNodeModules() {
  [[ -z ${npmDeps-} ]] || ln -sfn "$npmDeps/node_modules" node_modules
}
preConfigureHooks+=(linkNodeModules)
