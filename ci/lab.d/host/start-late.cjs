// Loaded before the real gateway: its unit is active for a minute before it listens.
if (process.argv.includes("gateway")) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
}
