// Loaded before the real gateway: its agent's shell tool asks for a restart some seconds after the start.
if (process.argv.includes("gateway")) {
  setTimeout(() => {
    require("child_process").spawn("/bin/sh", ["-c", "/opt/clawfleet-lab/host/restart-inside"], { stdio: "inherit" });
  }, 9000).unref();
}
