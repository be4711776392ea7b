import type { ApiRequest, Routes } from "../api/routes.ts";
import type { Credential } from "./auth.ts";
import type { OvhContext } from "./context.ts";
import { notFound } from "./errors.ts";

/** Who is calling, and whose account it is. */
export function accountRoutes(
  context: OvhContext,
  time: () => number,
  callerOf: (request: ApiRequest) => Credential,
): Routes {
  const { account } = context.state;
  return {
    "GET /auth/time": () => time(),
    "GET /auth/details": (request) => ({
      account: account.nichandle,
      allowedRoutes: callerOf(request).rules ?? null,
      description: "",
      identities: [`urn:v1:eu:identity:account:${account.nichandle}`],
      method: callerOf(request).kind === "bearer" ? "oauth2" : "account",
      roles: [],
      user: null,
    }),
    "GET /auth/currentCredential": (request) => ({
      applicationId: 7001,
      credentialId: 7002,
      allowedIPs: null,
      creation: "2026-01-01T00:00:00+00:00",
      expiration: null,
      lastUse: null,
      ovhSupport: false,
      rules: callerOf(request).rules ?? [],
      status: "validated",
    }),
    "GET /me": () => ({
      nichandle: account.nichandle,
      customerCode: "0000-0000-00",
      email: account.email,
      name: "Owner",
      firstname: "Olive",
      organisation: null,
      legalform: "individual",
      country: "FR",
      language: "fr_FR",
      state: "complete",
      kycValidated: true,
      ovhCompany: "ovh",
      ovhSubsidiary: account.ovhSubsidiary,
      currency: { code: "EUR", symbol: "€" },
    }),
    "GET /me/notification/email/history": () => context.state.emails.map((email) => email.id),
    "GET /me/notification/email/history/{id}": (_, params) => {
      const email = context.state.emails.find((candidate) => String(candidate.id) === params["id"]);
      if (!email) throw notFound("This email does not exist");
      return email;
    },
  };
}
