#!/usr/bin/env node
import { main } from "../dist/cli/main.js";

// Not left to an empty event loop: a child's pipe or a slow disk must not keep a balancer that has ended.
process.exit(await main(process.argv.slice(2), process.env));
