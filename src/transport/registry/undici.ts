/**
 * undici, loaded when the first request is made: it costs as much time as the rest of the program together.
 * A module of its own, because a bundler gives a dynamic import of a CommonJS package no named exports.
 */
export { Agent, ProxyAgent } from 'undici';
