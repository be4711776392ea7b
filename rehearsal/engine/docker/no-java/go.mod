module github.com/pulumi/pulumi-java/pkg

go 1.25.6
