import { describe, expect, it } from "vitest";

import type { OpenablePath } from "../../../../common/services.ts";
import { closedRequests } from "../../../../ops/checks/public/closed-paths.ts";

const pathsOf = (openPaths: readonly OpenablePath[]) => closedRequests(openPaths).map(({ path }) => path);

describe("closedRequests", () => {
  it("asks for n8n's public paths, except for those that the settings open", () => {
    const paths = ["/form/1", "/form-waiting/1", "/webhook-waiting/1", "/mcp/1", "/chat"];

    expect(pathsOf([])).toEqual(expect.arrayContaining(paths));
    expect(pathsOf(["forms", "chat"]).filter((path) => paths.includes(path))).toEqual([
      "/webhook-waiting/1",
      "/mcp/1",
    ]);
  });

  it("asks for a web socket wherever n8n has one, unless the settings open it", () => {
    const plain = (openPaths: readonly OpenablePath[]) =>
      closedRequests(openPaths).filter(({ path, upgrade }) => upgrade && /^\/(chat|rest\/push)\?/.test(path));

    expect(plain([])).toHaveLength(2);
    expect(plain(["chat"]).map(({ path }) => path)).toEqual(["/rest/push?pushRef=verification"]);
  });

  it("keeps other spellings of an open path closed", () => {
    expect(closedRequests(["chat"])).toContainEqual({
      path: "/chat/..%2fwebhook%2fx?sessionId=verification&executionId=999999",
      upgrade: true,
    });
  });
});
