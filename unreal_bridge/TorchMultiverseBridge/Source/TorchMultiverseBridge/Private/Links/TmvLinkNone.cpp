#include "TmvLink.h"
#include "TmvVersion.h"

#if TMV_PIXEL_STREAMING == 0

TUniquePtr<ITmvLink> MakeTmvLink()
{
	return nullptr;
}

#endif
