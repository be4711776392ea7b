/** Public Cloud projects: their storage users with keys and policies, and their buckets. Behind them is a real S3 server, where there is one. */
import { randomBytes } from "node:crypto";

import type { Params, Routes } from "../api/routes.ts";
import type { JobHandler } from "../jobs.ts";
import { anything, optional, readBody, required, string, type Body } from "./body.ts";
import { newId, type OvhContext } from "./context.ts";
import { badRequest, conflict, notFound } from "./errors.ts";
import type { Bucket, CloudProject, StorageUser } from "./state.ts";

const ROLES = [
  { id: "1", name: "administrator", description: "All rights", permissions: [] },
  { id: "2", name: "objectstore_operator", description: "Object Storage", permissions: [] },
];

const REGIONS = ["GRA", "RBX", "SBG", "DE", "WAW", "BHS", "UK", "EU-WEST-PAR"];

export function storageRoutes(context: OvhContext): Routes {
  return {
    ...userRoutes(context),
    ...keyRoutes(context),
    ...bucketRoutes(context),
  };
}

function userRoutes(context: OvhContext): Routes {
  const { jobs, delays, store } = context;
  const path = "/cloud/project/{serviceName}";
  return {
    [`GET ${path}/role`]: (_, params) => (projectOf(context, params), { roles: ROLES, services: [] }),
    [`GET ${path}/user`]: (_, params) => projectOf(context, params).users.map(renderUser),
    [`POST ${path}/user`]: (request, params) => {
      const project = projectOf(context, params);
      const body = readBody(request, {
        description: optional(string),
        role: optional(string),
        roles: optional(anything),
      });
      const {
        description = "",
        role,
        roles = [],
      } = body as {
        readonly description?: string;
        readonly role?: string;
        readonly roles?: readonly string[];
      };
      const names = role === undefined ? [...roles] : [...roles, role];
      const unknown = names.filter((name) => !ROLES.some((role) => role.name === name));
      if (unknown.length > 0)
        throw badRequest(
          `[roles] Given data (${unknown.join(", ")}) does not belong to the roles of the project`,
        );
      const id = newId(context);
      const user: StorageUser = {
        ...{
          id,
          username: `user-${randomBytes(6).toString("hex")}`,
          description,
        },
        ...{
          status: "creating",
          creationDate: new Date(context.clock.now()).toISOString(),
          roles: names,
          policy: undefined,
          keys: [],
        },
      };
      project.users.push(user);
      jobs.add("storage:user", { project: project.id, user: id }, delays.taskMs);
      // Shown once.
      return { ...renderUser(user), password: randomBytes(16).toString("hex") };
    },
    [`GET ${path}/user/{userId}`]: (_, params) => renderUser(userOf(context, params)),
    [`DELETE ${path}/user/{userId}`]: async (_, params) => {
      const user = userOf(context, params);
      const project = projectOf(context, params);
      project.users = project.users.filter((other) => other !== user);
      await store.grant(project.users);
      return null;
    },
    [`GET ${path}/user/{userId}/openrc`]: (_, params) => ({
      content: `export OS_AUTH_URL=https://auth.cloud.ovh.net/v3\nexport OS_USERNAME="${userOf(context, params).username}"\n`,
    }),
    [`GET ${path}/user/{userId}/policy`]: (_, params) => ({
      policy: userOf(context, params).policy ?? '{"Statement":[]}',
    }),
    [`POST ${path}/user/{userId}/policy`]: async (request, params) => {
      const { policy } = readBody(request, { policy: required(string) });
      userOf(context, params).policy = readPolicy(String(policy));
      await store.grant(projectOf(context, params).users);
      return null;
    },
  };
}

function keyRoutes(context: OvhContext): Routes {
  const { store } = context;
  const path = "/cloud/project/{serviceName}/user/{userId}/s3Credentials";
  const keyOf = (params: Params) => {
    const key = userOf(context, params).keys.find(({ access }) => access === params["access"]);
    if (!key) throw notFound("The requested object (access) does not exist");
    return key;
  };
  const render = (params: Params, access: string) => ({
    access,
    tenantId: params["serviceName"],
    userId: params["userId"],
  });
  return {
    [`GET ${path}`]: (_, params) => userOf(context, params).keys.map(({ access }) => render(params, access)),
    [`POST ${path}`]: async (_, params) => {
      const key = { access: randomBytes(16).toString("hex"), secret: randomBytes(16).toString("hex") };
      userOf(context, params).keys.push(key);
      await store.grant(projectOf(context, params).users);
      return { ...render(params, key.access), secret: key.secret };
    },
    [`GET ${path}/{access}`]: (_, params) => render(params, keyOf(params).access),
    // Reading a secret is a POST.
    [`POST ${path}/{access}/secret`]: (_, params) => ({ secret: keyOf(params).secret }),
    [`DELETE ${path}/{access}`]: async (_, params) => {
      const [user, key] = [userOf(context, params), keyOf(params)];
      user.keys = user.keys.filter((other) => other !== key);
      await store.grant(projectOf(context, params).users);
      return null;
    },
  };
}

function bucketRoutes(context: OvhContext): Routes {
  const { store } = context;
  const path = "/cloud/project/{serviceName}/region/{regionName}/storage";
  const settings = {
    ...{ encryption: optional(anything), objectLock: optional(anything), ownerId: optional(anything) },
    ...{ replication: optional(anything), tags: optional(anything), versioning: optional(anything) },
  };
  return {
    [`GET ${path}`]: (_, params) =>
      projectOf(context, params)
        .buckets.filter(({ region }) => region === regionOf(params))
        .map(renderBucket),
    [`POST ${path}`]: async (request, params) => {
      const project = projectOf(context, params);
      const body = readBody(request, { ...settings, name: required(string) });
      const name = String(body["name"]);
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name))
        throw badRequest("[name] Given data is not a valid container name");
      // Names are shared by all customers of a region.
      if (context.state.projects.some(({ buckets }) => buckets.some((other) => other.name === name)))
        throw conflict("The requested bucket name is not available");
      const bucket: Bucket = {
        name,
        region: regionOf(params),
        createdAt: new Date(context.clock.now()).toISOString(),
        lifecycle: undefined,
        ...describe(body),
      };
      if (bucket.objectLock?.status === "enabled") bucket.versioning = { status: "enabled" };
      await store.make(bucket);
      project.buckets.push(bucket);
      return renderBucket(bucket);
    },
    [`GET ${path}/{name}`]: (_, params) => renderBucket(bucketOf(context, params)),
    [`PUT ${path}/{name}`]: async (request, params) => {
      const bucket = bucketOf(context, params);
      const given = describe(readBody(request, settings));
      if (bucket.objectLock?.status === "enabled" && given.objectLock?.status === "disabled")
        throw badRequest("Object lock cannot be disabled");
      Object.assign(bucket, given);
      await store.change(bucket);
      return null;
    },
    // What the store holds is not listed here, so a bucket with objects is never emptied over this API.
    [`GET ${path}/{name}/object`]: (_, params) => (bucketOf(context, params), []),
    [`DELETE ${path}/{name}`]: async (_, params) => {
      const bucket = bucketOf(context, params);
      if (!(await store.remove(bucket))) throw conflict("The bucket you tried to delete is not empty");
      const project = projectOf(context, params);
      project.buckets = project.buckets.filter((other) => other !== bucket);
      return null;
    },
    [`GET ${path}/{name}/lifecycle`]: (_, params) => {
      const { lifecycle } = bucketOf(context, params);
      if (lifecycle === undefined) throw notFound("The lifecycle configuration does not exist");
      return { rules: lifecycle };
    },
    [`PUT ${path}/{name}/lifecycle`]: async (request, params) => {
      const bucket = bucketOf(context, params);
      const { rules } = readBody(request, { rules: required(anything) });
      bucket.lifecycle = rules as unknown[];
      await store.change(bucket);
      return { rules };
    },
    [`DELETE ${path}/{name}/lifecycle`]: async (_, params) => {
      const bucket = bucketOf(context, params);
      bucket.lifecycle = undefined;
      await store.change(bucket);
      return null;
    },
  };
}

export function storageJobs(context: OvhContext): Readonly<Record<string, JobHandler>> {
  return {
    "storage:user": (job) => {
      const project = context.state.projects.find(({ id }) => id === job.project);
      const found = project?.users.find(({ id }) => id === job.user);
      if (found) found.status = "ok";
    },
  };
}

function describe(body: Body): Partial<Pick<Bucket, "versioning" | "objectLock">> {
  const [versioning, objectLock] = [body["versioning"], body["objectLock"]] as [
    Bucket["versioning"],
    Bucket["objectLock"],
  ];
  return { ...(versioning && { versioning }), ...(objectLock && { objectLock }) };
}

function readPolicy(text: string): string {
  let policy: { Statement?: unknown };
  try {
    policy = JSON.parse(text) as { Statement?: unknown };
  } catch {
    throw badRequest("[policy] Given data is not valid JSON");
  }
  if (!Array.isArray(policy.Statement)) throw badRequest("[policy] Given data has no Statement");
  return text;
}

function projectOf({ state }: OvhContext, params: Params): CloudProject {
  const project = state.projects.find(({ id }) => id === params["serviceName"]);
  if (!project) throw notFound("This service does not exist");
  return project;
}

function userOf(context: OvhContext, params: Params): StorageUser {
  const user = projectOf(context, params).users.find(({ id }) => String(id) === params["userId"]);
  if (!user) throw notFound("The requested object (userId) does not exist");
  return user;
}

function regionOf(params: Params): string {
  const region = params["regionName"] ?? "";
  if (!REGIONS.includes(region)) throw notFound("The requested object (regionName) does not exist");
  return region;
}

function bucketOf(context: OvhContext, params: Params): Bucket {
  const region = regionOf(params);
  const bucket = projectOf(context, params).buckets.find(
    (one) => one.name === params["name"] && one.region === region,
  );
  if (!bucket) throw notFound("The requested object (name) does not exist");
  return bucket;
}

function renderUser({ keys: _keys, policy: _policy, roles, ...user }: StorageUser): object {
  return { ...user, roles: ROLES.filter(({ name }) => roles.includes(name)), password: null };
}

function renderBucket({ lifecycle: _lifecycle, ...bucket }: Bucket): object {
  const host = `https://${bucket.name}.s3.${bucket.region.toLowerCase()}.io.cloud.ovh.net/`;
  return {
    ...bucket,
    virtualHost: host,
    ownerId: 0,
    objects: [],
    objectsCount: 0,
    objectsSize: 0,
    tags: {},
    encryption: { sseAlgorithm: "plaintext" },
  };
}
