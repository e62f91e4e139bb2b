// An informer over Services: one line of JSON for each thing that it tells.
import { CoreV1Api, KubeConfig, makeInformer } from "@kubernetes/client-node";

const config = new KubeConfig();
config.loadFromClusterAndUser(
  { name: "c", server: process.argv[2], skipTLSVerify: true }, // plain HTTP has nothing to verify
  { name: "u" },
);
const api = config.makeApiClient(CoreV1Api);
const informer = makeInformer(config, "/api/v1/services", () =>
  api.listServiceForAllNamespaces(),
);

const tell = (type) => (service) =>
  console.log(
    JSON.stringify({
      type,
      key: `${service.metadata.namespace}/${service.metadata.name}`,
      version: service.metadata.resourceVersion,
    }),
  );

for (const type of ["add", "update", "delete"]) informer.on(type, tell(type));
informer.on("error", (error) => {
  console.error(String(error));
  setTimeout(() => informer.start(), 100); // as its documentation says
});
await informer.start();
console.log(JSON.stringify({ type: "started" }));
