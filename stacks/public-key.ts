const KEY_TYPES = new Set([
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
]);

/** Whether the text is one line of an OpenSSH public key file whose data agree with its type. */
export function isPublicKey(text: string): boolean {
  const [, type, data] = /^(\S+) ([A-Za-z0-9+/]+={0,2})(?: [^\n]*)?$/.exec(text) ?? [];
  if (!type || !data || !KEY_TYPES.has(type)) return false;
  const bytes = Buffer.from(data, "base64");
  if (bytes.length < 36 || bytes.toString("base64") !== data) return false;
  const length = bytes.readUInt32BE(0);
  return bytes.subarray(4, 4 + length).toString("latin1") === type;
}
