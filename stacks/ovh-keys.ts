/** Secret → argument of OVH's official provider. */
export const OVH_KEYS = {
  ovhApplicationKey: "applicationKey",
  ovhApplicationSecret: "applicationSecret",
  ovhConsumerKey: "consumerKey",
  ovhClientId: "clientId",
  ovhClientSecret: "clientSecret",
} as const;
