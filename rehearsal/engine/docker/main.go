// The docker plugin of the rehearsal: the Terraform provider that the official plugin wraps, behind Pulumi's own bridge.
//
// It differs from the official one in what a program over ssh does not meet: there is no native half (docker.Image, the
// ping of a local daemon when the provider is configured).
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

// The SDK's version, since the SDK asks the engine for exactly that plugin.
const version = "5.2.0"

// A schema with types serves code generators; programs in Node.js bring their types along.
const schema = `{"name": "docker", "version": "` + version + `"}`

func main() {
	info := tfbridge.ProviderInfo{
		P:           shimv2.NewProvider(shim.NewProvider(version)),
		Name:        "docker",
		Version:     version,
		DisplayName: "Docker",
		Config:      map[string]*tfbridge.SchemaInfo{"registry_auth": {Name: "registryAuth"}},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_config": {Tok: "docker:index/serviceConfig:ServiceConfig"},
			"docker_container": {
				Tok: "docker:index/container:Container",
				// The SDK has these in the singular; the bridge would give a list a plural name.
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
				DeleteBeforeReplace: true,
			},
			"docker_image": {Tok: "docker:index/remoteImage:RemoteImage"},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image": {Tok: "docker:index/getRemoteImage:getRemoteImage"},
		},
	}

	if err := info.ComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard("docker"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	info.SetAutonaming(255, "-")

	tfbridge.Main("docker", version, info, []byte(schema))
}
