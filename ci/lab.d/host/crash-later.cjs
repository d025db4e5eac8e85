// Loaded before the real gateway: makes it die some seconds after it listens, of an uncaught exception or as asked.
if (process.argv.includes("gateway")) {
  const how = process.env.CLAWFLEET_CRASH_WITH || "1";
  setTimeout(() => {
    if (how === "ABRT") process.abort();
    if (how === "SEGV") process.kill(process.pid, "SIGSEGV");
    else if (how !== "1") process.reallyExit(Number(how));
    else throw new Error("planted failure");
  }, 9000).unref();
}
