/** `docs/servers.md` around its table, which `shapes.ts` computes. */
export const SERVERS_PAGE = `# Servers

<!-- Written by \`npm run settings\` from stacks/servers-page.ts and stacks/shapes.ts: change those. -->

An environment has one server (\`technicia:server\`), or a list of them (\`technicia:servers\`). A list of one means the same as no list, down to
the names of the resources. What servers share stays in \`technicia:server\`: user, size, datacentre, release.

## What each shape survives

The table follows from the list of servers, by the same code that judges yours. [0019](decisions/0019-several-servers.md)
says which losses were rehearsed.

%TABLE%

Two servers that vote are refused: more than half of the voters must agree, so the loss of either stops both. One, three or five vote;
further servers are workers.

## A list

\`\`\`yaml
technicia:servers:
  - name: gra-1
    role: manager
    serviceName: vps-1a2b3c4d.vps.ovh.net
    labels: [gateway, qdrant, n8n, postgres, monitoring]
  - name: gra-2
    role: manager
    order: { subsidiary: FR, maxMonthlyPriceEur: 15 }
  - name: sbg-1
    role: witness
    order: { subsidiary: FR, maxMonthlyPriceEur: 5 }
    vcores: 1
    memoryGib: 2
    datacentre: SBG
\`\`\`

- The secret \`wireguardKey\` comes with \`npm run secrets -- <stack> --init\`. Each server's own key follows from it.
- The first entry keeps the resource names of the only server that was there before: leave it first.
- A name is identity: the address in the tunnel and the resources follow from it. Do not rename a server that exists.
- Visitors arrive at every server with the label \`gateway\`. One of them orders the certificate: the server of the data, if it has the label, or else
  the first of the list with it. The others fetch certificate and key from it every hour, through the tunnel.
- While the server that orders is away, the others serve what they have, and nobody renews: a certificate lasts a month beyond its renewal.
- All data (\`qdrant\`, \`n8n\`, \`postgres\`, \`monitoring\`) has one server, a manager. A service without data has two tasks on different servers.
- From one server to several the services move to networks with other names, because a network that is in use cannot change. Do it in a window.
- A service whose server is gone stays down. Started elsewhere it would be empty.
- \`npm run preview\` shows the monthly price of all servers, and says in words what another list moves, interrupts and leaves unprotected.
- \`npm run servers -- <stack>\` shows them all, drains, removes and adds; \`npm run failover\` takes over from one that is down
  ([operations.md](operations.md#several-servers)).
`;
