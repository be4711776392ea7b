module github.com/terraform-providers/terraform-provider-docker/shim

go 1.25.6

require github.com/terraform-providers/terraform-provider-docker v0.0.0
