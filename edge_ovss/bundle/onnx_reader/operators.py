"""Which operators the graph of a bundle may have.

Everything that computes tensors from tensors of a size that its inputs decide, and nothing that
repeats (Loop, Scan), branches (If), draws at random, holds texts, sequences or other graphs, or is
not of ONNX itself: what such a node would do cannot be known before it does it. The C++ library has
the same list (runtime/src/operators.cpp).
"""

from __future__ import annotations

from collections.abc import Iterable

_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod
    Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt
    Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
"""
_ACROSS = """
    ArgMax ArgMin BatchNormalization CumSum GroupNormalization Hardmax InstanceNormalization LRN
    LayerNormalization LogSoftmax LpNormalization MeanVarianceNormalization RMSNormalization
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Softmax TopK
"""
_PRODUCTS = """
    Attention AveragePool Conv ConvInteger ConvTranspose Einsum Gemm GlobalAveragePool GlobalMaxPool
    GridSample LpPool MatMul MatMulInteger MaxPool QLinearConv QLinearMatMul RoiAlign
"""
_LAYOUT = """
    Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements
    GatherND OneHot Pad Range Reshape Resize ReverseSequence ScatterElements ScatterND Shape Size
    Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze
"""
_PRECISION = "DequantizeLinear DynamicQuantizeLinear QuantizeLinear"

FREE_SIZE = frozenset({"Compress", "NonZero", "Unique"})
"""Those whose answer has a size that is known when it is there; rejection "dynamic" needs them."""

ALLOWED = frozenset(" ".join((_ELEMENTWISE, _ACROSS, _PRODUCTS, _LAYOUT, _PRECISION)).split())
"""All others that are allowed."""


def forbidden_operators(operators: Iterable[str], *, dynamic: bool) -> list[str]:
    """Return the operators that the graph of a bundle may not have, sorted.

    Args:
        operators: Names, "domain::Name" outside of the default domain.
        dynamic: Whether the rejection is "dynamic".
    """
    allowed = ALLOWED | FREE_SIZE if dynamic else ALLOWED
    return sorted(set(operators) - allowed)
