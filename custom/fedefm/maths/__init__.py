"""Mathematics of the method: optimal transport between feature maps, averages and fingerprints of weights."""

from fedefm.maths.averaging import interpolate, linear_combination, weighted_mean
from fedefm.maths.cost import cosine_cost
from fedefm.maths.fingerprint import weights_sha256
from fedefm.maths.similarity import emd_similarity, regional_similarity
from fedefm.maths.transport import emd, emd_plan
from fedefm.maths.weights import node_weights

__all__ = [
    "cosine_cost",
    "emd",
    "emd_plan",
    "emd_similarity",
    "interpolate",
    "linear_combination",
    "node_weights",
    "regional_similarity",
    "weighted_mean",
    "weights_sha256",
]
