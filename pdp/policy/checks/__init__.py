"""What can be wrong with a policy, one function per problem code."""
