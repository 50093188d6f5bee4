{ flake }: { passed = 0; failures = [ ]; }
