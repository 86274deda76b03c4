"""Ways to improve a prompt: `OptimizerStrategy` plugins, independent of each other."""
