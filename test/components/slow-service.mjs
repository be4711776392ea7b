// Stands in for n8n and the vector-store: it answers when the test says so, and tells how much of a body has come.
import { createServer } from "node:http";

let received = 0;
let waiting = [];

const answers = {
  "/webhook/hold": (_request, response) => waiting.push(response),
  "/webhook/stream": (_request, response) => {
    response.write("first\n");
    waiting.push(response);
  },
  "/webhook/waiting": (_request, response) => response.end(String(waiting.length)),
  "/webhook/release": (_request, response) => {
    for (const held of waiting) held.end("released\n");
    response.end(String(waiting.length));
    waiting = [];
  },
  "/webhook/received": (_request, response) => response.end(String(received)),
  "/webhook/upload": (request, response) => {
    received = 0;
    request.on("data", (chunk) => (received += chunk.length));
    request.on("end", () => response.end(String(received)));
  },
};

const answer = (request, response) => {
  const known = request.method === "PUT" ? undefined : answers[request.url];
  if (known) return known(request, response);
  // As n8n does, it answers before it has read the body.
  response.writeHead(request.url.startsWith("/webhook/") ? 404 : 200).end("{}");
};

for (const port of [5678, 8000]) createServer(answer).listen(port);
