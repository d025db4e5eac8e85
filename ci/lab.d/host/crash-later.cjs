// Loaded before the real gateway: makes it die of an uncaught exception some seconds after it listens.
if (process.argv.includes("gateway")) {
  setTimeout(() => { throw new Error("planted failure"); }, 9000).unref();
}
