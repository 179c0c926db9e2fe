/**
 * undici, loaded when the first request is made: it costs as much time as the rest of the program together.
 * A module of its own, because a bundler gives a dynamic import of a CommonJS package no named exports.
 */
import { setFlagsFromString } from 'node:v8';

export { Agent, buildConnector, ProxyAgent } from 'undici';

// undici parses HTTP in WebAssembly, and after a few requests V8 would take 120 ms of a core to optimise that. Nothing of
// ours gets them back: bodies pass the parser by. With the largest budget there is, it comes to that after gigabytes.
setFlagsFromString('--wasm-tiering-budget=2147483647');
