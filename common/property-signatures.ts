/** How Pulumi's protocol writes property values that are no plain JSON. */

/** Key that only an object with a special meaning has; its value says which meaning. */
export const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";

/** Value of that key in a secret; the secret itself is in the property `value`. */
export const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";

/** Text in place of a value that a preview does not know. */
export const UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
