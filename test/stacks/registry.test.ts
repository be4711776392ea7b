import { describe, expect, it } from "vitest";

import { Sealed } from "../support/engine.ts";
import { environmentWith, validSettings } from "../support/fixtures.ts";
import { deploy, everything, usual } from "../support/technicia.ts";
import { describeStatus } from "../../stacks/deployment-status.ts";
import { deploymentFacts } from "../support/fixtures.ts";

const source = {
  repository: "https://github.com/exemple/technicia.git",
  commit: "0123456789abcdef0123456789abcdef01234567",
  folder: "services/vector-store",
};

/** The error for the valid settings with these changes. */
function problem(changes: Readonly<Record<string, unknown>>): string {
  try {
    environmentWith(changes);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

describe("the account at the registry", () => {
  it("is a file on the server that only root reads, as a secret", async () => {
    const { registrations } = await deploy(everything);
    const login = registrations.find(({ name }) => name === "registry-login");

    expect(login?.inputs).toMatchObject({ path: "/opt/technicia/registry/config.json", mode: "0600" });
    expect(login?.inputs["content"]).toBeInstanceOf(Sealed);
  });

  it("is given to images of that registry and to no others", async () => {
    const { registrations } = await deploy(everything);
    const images = registrations.filter(({ name }) => name.startsWith("image-"));
    const withLogin = images.filter(({ inputs }) => inputs["dockerConfig"] !== undefined);

    expect(withLogin.map(({ name }) => name)).toEqual(["image-vector-store"]);
    expect(withLogin[0]?.inputs["login"]).toBeInstanceOf(Sealed);
    expect(images.length).toBeGreaterThan(5);
  });

  it("leaves no file when the setting goes", async () => {
    const { registrations } = await deploy(usual);

    expect(registrations.map(({ name }) => name)).not.toContain("registry-login");
  });
});

describe("the settings of builds", () => {
  it.each([
    ["a branch", { ...source, commit: "main" }, "expected the full hash of a commit, 40 hexadecimal digits"],
    ["a short hash", { ...source, commit: "0123456" }, "expected the full hash of a commit"],
    ["a folder above", { ...source, folder: "../secrets" }, "expected a folder in the repository"],
    ["a folder from the root", { ...source, folder: "/etc" }, "expected a folder in the repository"],
    ["a password", { ...source, repository: "https://a:b@github.com/x.git" }, "without a password in it"],
    ["an option", { ...source, repository: "--upload-pack=id" }, "expected the address of a git repository"],
    ["an option as a user", { ...source, repository: "-x@host:path" }, "expected the address of a git"],
    [
      "a folder of this machine",
      { ...source, repository: "/srv/technicia" },
      "expected the address of a git",
    ],
  ])("refuse %s as a source", (_, given, message) => {
    const changes = { "images.registry": "registry.exemple.fr/t", "images.sources": { vectorStore: given } };

    expect(problem(changes)).toContain(message);
    expect(problem(changes)).not.toContain("a:b@");
  });

  it.each(["https://github.com/a/b.git", "ssh://git@git.exemple.fr:2222/a.git", "git@github.com:a/b.git"])(
    "take %s",
    (repository) => {
      const sources = { vectorStore: { ...source, repository } };

      expect(problem({ "images.registry": "registry.exemple.fr/t", "images.sources": sources })).toBe("");
    },
  );

  it("refuse sources and an account without a registry, in one line", () => {
    const changes = { "images.registryUser": "robot", "images.sources": { vectorStore: source } };

    expect(problem(changes)).toContain(
      "technicia:images.registry: expected a registry, because images.registryUser and images.sources.vectorStore are set, got nothing; " +
        "set it with pulumi config set --path technicia:images.registry registry.exemple.fr/technicia --stack test",
    );
  });

  it.each(["technicia", "https://registry.exemple.fr", "registry.exemple.fr/", "registry.exemple.fr/A"])(
    "refuse %s as a registry",
    (registry) => {
      expect(problem({ "images.registry": registry })).toContain("technicia:images.registry: expected ");
    },
  );

  it("keep the images apart from where they come from", () => {
    const { images } = environmentWith({ "images.registry": "registry.exemple.fr:5000/technicia" });

    expect(Object.keys(images)).toEqual(Object.keys(validSettings()["images"] as object));
  });
});

describe("the step of cloning", () => {
  const name = "registry.exemple.fr/t/vector-store:0123456789ab";
  const environment = environmentWith({
    "images.registry": "registry.exemple.fr/t",
    "images.sources": { vectorStore: source },
  });
  const step = (images: Readonly<Record<string, string>>) =>
    describeStatus(environment, { ...deploymentFacts(), images })
      .phases.flatMap(({ steps }) => steps)
      .find((one) => one.name === "Clonage du repository");

  it("is done when every service of ours runs the commit that the settings name", () => {
    expect(step({ vectorStore: `${name}@sha256:${"a".repeat(64)}` })).toMatchObject({
      status: "Complété",
      proof: "vector-store 0123456789ab (https://github.com/exemple/technicia.git)",
    });
  });

  it("is under way while another one runs an image of unknown origin", () => {
    expect(step({ vectorStore: name, frontend: "technicia/frontend:1.0.0" })).toMatchObject({
      status: "En cours",
      proof: expect.stringContaining(" ; reste frontend") as string,
    });
  });

  it("has not begun while another commit runs than the settings name", () => {
    expect(step({ vectorStore: name.replace("0123", "ffff") })).toMatchObject({ status: "Non commencé" });
  });
});
