// Package shim opens the Terraform provider to programs outside its own tree: the provider is an internal package.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// NewProvider gives the Terraform provider for Docker.
func NewProvider(version string) *schema.Provider {
	return provider.New(version)()
}
