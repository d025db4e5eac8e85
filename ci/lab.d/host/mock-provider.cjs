// A model provider on the loopback: every completion is "pong". usage: mock-provider.cjs PORT
const http = require("http");

http.createServer((request, response) => {
  request.resume().on("end", () => {
    const piece = (delta, reason) => `data: ${JSON.stringify({
      id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m2",
      choices: [{ index: 0, delta, finish_reason: reason }],
    })}\n\n`;
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.end(piece({ role: "assistant", content: "pong" }, null) + piece({}, "stop") + "data: [DONE]\n\n");
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
