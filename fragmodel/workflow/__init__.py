"""What the Snakemake workflow needs of the package: digests of code, and what surrounds every job."""
